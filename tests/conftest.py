"""Fixtures that every test shares.

The tests run in one process or in several (`-n 2 --dist loadfile`). Each process has a
Prefect of its own: its embedded servers would else wait for each other's database.
"""

import os
import tempfile
from pathlib import Path

import pytest

_PREFECT_HOME = tempfile.TemporaryDirectory(prefix="prefect-", ignore_cleanup_errors=True)
os.environ["PREFECT_HOME"] = _PREFECT_HOME.name
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores; each of torch's would take them all.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

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
