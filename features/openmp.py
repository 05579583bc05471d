"""Make sure that LightGBM finds an OpenMP runtime.

LightGBM needs the system's ``libgomp.so.1``, which machines without a C compiler often lack. ``make setup``
runs this module once and says what to install when it is missing.
"""

import ctypes
import sys


def main() -> int:
    """Return 0 when LightGBM can be loaded; print the mend and return 1 otherwise."""
    try:
        ctypes.CDLL("libgomp.so.1")
    except OSError:
        sys.stderr.write(
            "LightGBM needs the OpenMP runtime libgomp.so.1, which this machine does not have.\n"
            "Mend: install it (Debian, Ubuntu: apt-get install libgomp1; Fedora: dnf install libgomp).\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
