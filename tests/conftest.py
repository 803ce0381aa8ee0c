"""Fixtures that every test shares.

The tests run in one process or in several (`make test`). Each process has a Prefect of its
own: the servers that it starts would else wait for each other's database.
"""

import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.helpers.wheel import build_wheel
from vexpress.flows.server.environment import set_defaults
from vexpress.weights.sources import BY_NAME, fetched_folder

_PREFECT_HOME = tempfile.TemporaryDirectory(prefix="prefect-", ignore_cleanup_errors=True)
os.environ["PREFECT_HOME"] = _PREFECT_HOME.name
set_defaults()  # before anything imports prefect
os.environ["HF_HUB_OFFLINE"] = "1"  # nothing is fetched, so that every machine tests the same
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - Ray's 15 lets the other process of the tests go first
FETCHED = fetched_folder()
"""Networks that `vexpress weights fetch carried` put on this machine: only `carried` uses them."""
_CACHE = tempfile.TemporaryDirectory(prefix="cache-", ignore_cleanup_errors=True)
os.environ["XDG_CACHE_HOME"] = _CACHE.name
if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes share the cores; each of torch's would take them all.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).parents[1]
ASSETS = Path(os.environ.get("VEXPRESS_ASSETS", REPOSITORY.parent / "shared/assets"))


LONGEST = (
    "test_server.py",
    "test_killed.py",
    "test_train.py",
    "test_browser.py",
    "test_pipeline.py",
    "test_generate_batch.py",
    "test_installed.py",
    "test_stage.py",
    "test_engine.py",
    "test_chain.py",
    "test_real_copies.py",
    "test_postgresql.py",
)
"""Files that take a minute or so: they begin first, else one process waits for the other's."""


SERVER = "tests/flows/server/"


class ByFile(LoadFileScheduling):
    """Keeps the tests of a file in one process, and all that share a server."""

    def _split_scope(self, nodeid: str) -> str:
        return SERVER if nodeid.startswith(SERVER) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Say which process tests what."""
    return ByFile(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files."""
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what uses the fixture `assets`, so that `-m assets` is all of it."""
    if "assets" in getattr(item, "fixturenames", ()):
        item.add_marker("assets")


@pytest.fixture(scope="session")
def assets() -> Path:
    """The folder of real videos and weights; its tests skip where it is absent."""
    if not ASSETS.is_dir():
        pytest.skip(f"no real videos and weights at {ASSETS} (set VEXPRESS_ASSETS)")
    return ASSETS


@pytest.fixture(scope="session")
def carried() -> Path:
    """The folder of networks that packages carry; its tests skip where one is absent."""
    names = [name for name, network in BY_NAME.items() if network.group == "carried"]
    if not all((FETCHED / BY_NAME[name].place).is_file() for name in names):
        pytest.skip(f"not all of {', '.join(names)} at {FETCHED} (vexpress weights fetch carried)")
    return FETCHED


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, built."""
    return build_wheel(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips, start weights and an autoencoder for small trainings (`helpers/small_training.py`)."""
    from tests.helpers.small_training import write_material

    return write_material(tmp_path_factory.mktemp("material"))


@pytest.fixture
def caplog(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> pytest.LogCaptureFixture:
    """Pytest's; it also hears our loggers after a flow of an earlier test gave them to Prefect."""
    monkeypatch.setattr(logging.getLogger("vexpress"), "propagate", True)
    return caplog


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A bucket of a server on this machine that speaks S3."""
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anyone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().makedirs("bucket", exist_ok=True)
    yield "s3://bucket"
    s3fs.S3FileSystem().rm("bucket", recursive=True)  # all servers of a process share a memory
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()
