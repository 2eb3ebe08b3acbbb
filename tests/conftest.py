"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of shared development photos: ``RESEEN_PHOTOS``, else ``../shared/data``."""
    folder = Path(os.environ.get("RESEEN_PHOTOS", ROOT.parent / "shared" / "data"))
    if not (folder / "smvs-dvd" / "manifest.json").is_file():
        pytest.skip(f"the shared development photos are not at {folder}; set RESEEN_PHOTOS to run this")
    return folder
