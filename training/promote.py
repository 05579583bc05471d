"""Makes a registered model the one that is served: exported as plain files, switched in one step."""

import os
import tempfile
from pathlib import Path

from models.bundle import Bundle, BundleError, load, save
from training.errors import TrainingError
from training.registry import MODEL_NAME, Registry


def promote_version(home: Path, version: str) -> Bundle:
    """Export a registered version and make it the champion, in the registry and for serving.

    The files are written before anything points at them; the link ``models/champion`` is replaced in one step, so that
    a service sees the old model or the new one.

    Args:
        home: the folder with all state.
        version: the registry's version.

    Raises:
        TrainingError: there is no such version, or ``models/champion`` is no link.
        BundleError: its files are incomplete or altered.
        ModelMismatchError: it was trained on other features than the code measures.
    """
    registry = Registry(home)
    bundle = registry.bundle(version)
    folder = home / "models" / f"{MODEL_NAME}-{version}"
    if not _holds(folder, bundle):
        save(bundle, folder)
    load(folder)
    link = home / "models" / "champion"
    if link.exists() and not link.is_symlink():
        message = f"{link} is a folder, not a link. Mend: move it away, then run smoke promote {version} again."
        raise TrainingError(message)
    _point(link, folder)
    registry.make_champion(version)
    return bundle


def _holds(folder: Path, bundle: Bundle) -> bool:
    """Tell whether a folder already holds this very bundle."""
    try:
        return folder.is_dir() and load(folder).model_text == bundle.model_text
    except BundleError:
        return False


def _point(link: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".champion-", dir=link.parent) as scratch:
        fresh = Path(scratch) / link.name
        fresh.symlink_to(folder.name)
        os.replace(fresh, link)  # noqa: PTH105
