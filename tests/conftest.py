"""Fixtures that every test shares."""

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
ASSETS = Path(os.environ.get("VEXPRESS_ASSETS", REPOSITORY.parent / "shared/assets"))


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real videos and weights; its tests skip where it is absent."""
    if not ASSETS.is_dir():
        pytest.skip(f"no real videos and weights at {ASSETS} (set VEXPRESS_ASSETS)")
    return ASSETS


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, start weights and an autoencoder for small trainings (tests/small_training.py)."""
    from tests.small_training import write_material

    return write_material(tmp_path_factory.mktemp("material"))
