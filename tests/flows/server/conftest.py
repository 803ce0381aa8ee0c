"""One running stack a process for all tests that need a server; it is stopped after them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.random_weights import write_weights
from tests.helpers.running_stack import SECRET, RunningStack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory, material: Path) -> Iterator[RunningStack]:
    """A stack over an empty folder; its worker knows weights and a secret."""
    folder = tmp_path_factory.mktemp("server")
    weights = write_weights(folder / "weights", material)
    running = RunningStack(folder, VEXPRESS_WEIGHTS=str(weights), VEXPRESS_TOKEN=SECRET)
    try:
        print(running.up())
        yield running
    finally:
        print(running.down())
        left = [process.cmdline() for process in running.processes()]
        assert left == [], "down stops all that up started"
