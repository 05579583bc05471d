"""Data that is read where it lies and never shipped."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("SMOKE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


def at_hand(path: str) -> Path:
    """Return a file below the folder of shared data; skip the test where it is absent."""
    found = FOLDER / path
    if not found.is_file():
        pytest.skip(f"{path} is not shipped and not at hand; SMOKE_SHARED_DATA names the folder it lies below")
    return found
