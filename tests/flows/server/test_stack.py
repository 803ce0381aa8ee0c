"""What `vexpress up` refuses before it starts anything, and its Ray head.

A stack that runs: test_server.py.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.ports import free_port
from vexpress.flows.server.password import SERVER
from vexpress.flows.server.processes import Started, start, stop
from vexpress.flows.server.stack import RAY, Stack, ray_command, ray_environment, up
from vexpress.schemas.errors import ConfigError


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def refused(folder: Path, host: str = "127.0.0.1", port: int | None = None, **ray: bool) -> str:
    """Why nothing was started."""
    with pytest.raises(ConfigError) as error:
        up(folder / "state", folder / "data", host, port, ray.get("ray", False), print)
    assert not list(folder.glob("state/logs/*")), "nothing was started"
    return str(error.value)


def test_an_address_open_to_others_needs_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SERVER, raising=False)
    assert f"Expected a password in {SERVER}" in refused(tmp_path, host="0.0.0.0")


def test_a_port_in_use_is_refused_where_it_was_asked_for(tmp_path: Path, busy: int) -> None:
    assert f"port {busy}: expected it free" in refused(tmp_path, port=busy)


def test_a_ray_head_in_the_way_is_refused(
    tmp_path: Path, busy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vexpress.flows.server.stack.RAY", (RAY[0], busy))
    assert f"port {busy}: expected it free for Ray" in refused(tmp_path, ray=True)


def test_a_file_that_the_package_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "automations.yaml"
    monkeypatch.setattr("vexpress.flows.server.deployments.AUTOMATIONS", away)
    assert f"{away}: expected a file of the package" in refused(tmp_path)


def test_ray_is_asked_for_where_its_command_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert "expected Ray's command beside Python" in refused(tmp_path, ray=True)


@pytest.mark.parametrize(("data", "ray"), [("elsewhere", False), ("data", True)])
def test_a_stack_that_runs_is_not_taken_for_another(tmp_path: Path, data: str, ray: bool) -> None:
    me = psutil.Process()
    running = Stack(
        mark="not-in-any-environment",
        host="127.0.0.1",
        port=4242,
        data=str(tmp_path / "data"),
        processes={"server": Started(pid=me.pid, at=me.create_time())},
    )
    (tmp_path / "state").mkdir()
    (tmp_path / "state/stack.json").write_text(running.model_dump_json())
    with pytest.raises(ConfigError, match=r"runs already .* Stop it with `vexpress down`"):
        up(tmp_path / "state", tmp_path / data, "127.0.0.1", None, ray, print)


JOINS = """
import os, ray
from vexpress.tasks.engine.ray_cluster import start_ray
assert start_ray()
print(ray.get(ray.remote(lambda: os.getppid()).remote()))
"""


def test_a_run_joins_the_ray_head_by_its_token_and_the_head_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vexpress.flows.server.stack.RAY", ("127.0.0.1", free_port()))
    environment = {**os.environ, **ray_environment(tmp_path)}
    assert (tmp_path / "ray_token").stat().st_mode & 0o077 == 0, "nobody else reads it"
    head = start(ray_command(), environment, tmp_path / "log", tmp_path)
    try:
        process = head.process()
        assert process is not None
        while "Ray runtime started" not in (tmp_path / "log").read_text():
            assert process.is_running()
            time.sleep(0.1)
        joins = [sys.executable, "-c", JOINS]
        done = subprocess.run(joins, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        family = [process, *process.children(recursive=True)]
        assert int(done.stdout) in {p.pid for p in family}, "the work was done in the head"
        note = Path(tempfile.gettempdir()) / "ray/ray_current_cluster"
        found = note.read_text() if note.is_file() else ""
        port = environment["RAY_ADDRESS"].split(":")[1]
        assert not found.endswith(port), "a Ray that starts elsewhere here does not join it"
    finally:
        began = time.monotonic()
        stop(head)
    assert time.monotonic() - began < 22, "Ray itself would wait for half a minute"
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_the_ray_head_does_not_live_in_a_folder_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mine = os.getuid()
    folder = tmp_path / f"vexpress-ray-{mine}"
    folder.mkdir(mode=0o777)
    assert f"--temp-dir={folder}/r" in ray_command(), "Ray opens its own folder to everybody"
    assert folder.stat().st_mode & 0o077 == 0
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(ConfigError, match="a folder of this user for Ray"):
        ray_command()
