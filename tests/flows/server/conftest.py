"""One running stack for all tests that need a server; it is stopped after them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.installed import Installed
from tests.helpers.random_weights import write_weights
from tests.helpers.running_stack import SECRET, RunningStack


@pytest.fixture(scope="package")
def stack(
    tmp_path_factory: pytest.TempPathFactory, wheel: Path, material: Path
) -> Iterator[RunningStack]:
    """A stack of the installed package over an empty folder, started in the folder of another
    project; its worker knows weights and a secret."""
    folder = tmp_path_factory.mktemp("server")
    weights = write_weights(folder / "weights", material)
    told = {"VEXPRESS_WEIGHTS": str(weights), "VEXPRESS_TOKEN": SECRET}
    running = Installed(folder, wheel, **told)
    try:
        print(running.up())
        yield running
    finally:
        print(running.down())
        left = [process.cmdline() for process in running.processes()]
        assert left == [], "down stops all that up started"
