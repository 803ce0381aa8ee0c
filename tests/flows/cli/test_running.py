"""Where a command runs, and how Ctrl-C ends it: a terminal sends it to the whole group."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.helpers.ports import free_port
from tests.talking_heads import Face, Shot, VideoFormat, render

STOPPED = "stopped; run the same command again to go on\n"
WITHIN_S = 5.0
QUERYING = """
import duckdb
from vexpress.flows.cli.options import plain_errors
from vexpress.flows.cli.running import stopping

stopping.watch()
with plain_errors():
    print("running", flush=True)
    duckdb.sql("SELECT count(*) FROM range(10_000_000_000) a, range(10) b").fetchall()
"""
STUCK = """
import multiprocessing, subprocess, time
from vexpress.flows.cli.options import plain_errors
from vexpress.flows.cli.running import stopping

def sleep():
    time.sleep(600)

stopping.watch()
with plain_errors():
    multiprocessing.get_context("fork").Process(target=sleep).start()
    subprocess.Popen(["sleep", "600"])
    print("running", flush=True)
    try:
        sleep()
    finally:
        sleep()
"""


def start(*command: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a command as the leader of a process group of its own, as a terminal does."""
    pipe = subprocess.PIPE
    told = {k: v for k, v in os.environ.items() if k not in ("PREFECT_API_URL", "RAY_ADDRESS")}
    told |= environment
    return subprocess.Popen(
        [sys.executable, *command],
        stdout=pipe,
        stderr=pipe,
        text=True,
        start_new_session=True,
        env=told,
    )


def curate(videos: Path, dataset: Path, *more: str, **environment: str) -> "subprocess.Popen[str]":
    words = ["-m", "vexpress.flows.cli.app", "curate", str(videos), str(dataset)]
    words += ["--set", "faces.backend=dlib", "--set", "identity.backend=none", *more]
    return start(*words, **environment)


def wait_for(what: Callable[[], object], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 180
    while not what():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.02)


def end(process: "subprocess.Popen[str]", *signals: signal.Signals) -> tuple[str, float]:
    """Send signals to the group; return what was said on standard error, and how long it took."""
    family = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    for number in signals:
        os.killpg(process.pid, number)
        time.sleep(0.2)
    _, said = process.communicate(timeout=60)
    took = time.monotonic() - began
    assert psutil.wait_procs(family, timeout=5)[1] == [], "something was left running"
    return said, took


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    shot = Shot(duration_s=1.6, faces=(Face(width_px=110),))
    render([shot], folder / "a.mp4", VideoFormat(width=320, height=240))
    for name in "bc":
        # a copy is watched again where its bytes differ
        (folder / f"{name}.mp4").write_bytes((folder / "a.mp4").read_bytes() + name.encode())
    return folder


@pytest.mark.parametrize(
    ("number", "code", "after_s"),
    [(signal.SIGINT, 130, 0), (signal.SIGINT, 130, 1.5), (signal.SIGTERM, 143, 0.5)],
)
def test_a_run_that_is_stopped_says_one_line_and_may_be_run_again(
    videos: Path, tmp_path: Path, number: signal.Signals, code: int, after_s: float
) -> None:
    run = curate(videos, tmp_path / "set")
    wait_for((tmp_path / "set/ledger.sqlite").exists, run)
    time.sleep(after_s)
    said, took = end(run, number)
    assert (run.returncode, said) == (code, STOPPED)
    assert took < WITHIN_S
    if not after_s:
        out, said = (again := curate(videos, tmp_path / "set")).communicate(timeout=300)
        assert again.returncode == 0, said
        assert "3 sources (0 done before)" in out


def test_the_second_signal_ends_what_the_first_could_not() -> None:
    run = start("-c", STUCK)
    assert run.stdout is not None and run.stdout.readline() == "running\n"
    said, took = end(run, signal.SIGINT, signal.SIGINT)
    assert (run.returncode, said) == (130, STOPPED)
    assert took < 2


def test_a_run_that_does_not_end_is_ended(tmp_path: Path) -> None:
    run = start("-c", STUCK)
    assert run.stdout is not None and run.stdout.readline() == "running\n"
    said, took = end(run, signal.SIGTERM)
    assert (run.returncode, said) == (143, STOPPED)
    assert took < WITHIN_S


def test_a_query_that_is_stopped_says_so_too() -> None:
    run = start("-c", QUERYING)
    assert run.stdout is not None and run.stdout.readline() == "running\n"
    time.sleep(0.5)
    said, took = end(run, signal.SIGTERM)
    assert (run.returncode, said) == (143, STOPPED)
    assert took < WITHIN_S


@pytest.mark.slow
def test_a_run_on_ray_is_stopped_too(videos: Path, tmp_path: Path) -> None:
    run = curate(videos, tmp_path / "set", "--engine", "ray", "--set", "engine.max_workers=1")
    family = psutil.Process(run.pid)
    wait_for(
        lambda: any(
            "StageWorker" in " ".join(p.cmdline()) for p in family.children(recursive=True)
        ),
        run,
    )
    said, took = end(run, signal.SIGINT)
    assert run.returncode == 130 and said.endswith(STOPPED)
    assert "Traceback" not in said and "INFO" not in said
    assert took < WITHIN_S


def test_a_server_that_does_not_answer_is_said_at_once(videos: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}/api"
    began = time.monotonic()
    run = curate(videos, tmp_path / "set", PREFECT_API_URL=url)
    out, said = run.communicate(timeout=120)
    assert run.returncode == 2 and out == ""
    assert said.count("\n") == 1 and f"PREFECT_API_URL={url}: no Prefect server answers" in said
    assert "unset PREFECT_API_URL" in said
    assert not (tmp_path / "set").exists()
    assert time.monotonic() - began < 30


@pytest.mark.slow
def test_as_a_flow_without_a_server_it_runs_on_one_that_prefect_starts(
    videos: Path, tmp_path: Path
) -> None:
    home = str(tmp_path / "prefect")
    run = curate(videos / "a.mp4", tmp_path / "set", "--flow", PREFECT_HOME=home)
    out, said = run.communicate(timeout=300)
    assert (run.returncode, said) == (0, "")
    assert "1 source (0 done before)" in out
    assert (tmp_path / "prefect/prefect.db").exists()
