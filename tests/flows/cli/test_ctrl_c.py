"""Ctrl-C, typed at a terminal, ends every long command: one line, exit code 130, nothing left."""

import fcntl
import os
import pty
import re
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.helpers.small_requests import write_portrait, write_sound, write_table
from tests.helpers.training_dataset import write_dataset
from tests.talking_heads import Face, Shot, VideoFormat, render

STOPPED = "stopped; run the same command again to go on"
WITHIN_S = 5.0
PATIENCE_S = 180
ENDLESS = "SELECT count(*) AS clip_id FROM range(10_000_000_000) a, range(10) b"
DLIB = ["--set", "faces.backend=dlib", "--set", "identity.backend=none"]
BATCH = ["generate-batch", "{at}/r.csv", "{at}/out", "--preset", "tiny"]
TRAIN = ["train", "{at}/set", "--out", "{at}/run", "--preset", "tiny"]
COMMANDS = {
    "query": (["query", "{at}/set", ENDLESS], "_duckdb"),
    "select": (["select", "{at}/set", ENDLESS, "--name", "x"], "_duckdb"),
    "report": (["report", "{at}/set"], "_duckdb"),
    "export": (["export", "{at}/set", "{at}/hf", "--to", "hf"], "_duckdb"),
    "evaluate": (["evaluate", "{at}/set"], "_duckdb"),
    "curate": (["curate", "{at}/v", "{at}/out", *DLIB], "_dlib"),
    "train": (TRAIN, "libtorch_cpu"),
    "generate-batch": (BATCH, "libtorch_cpu"),
}
RAY = {
    "curate": ([*COMMANDS["curate"][0], "--engine", "ray"], "_raylet"),
    "train": ([*TRAIN, "--workers", "2"], "_raylet"),
    "generate-batch": ([*BATCH, "--engine", "ray"], "_raylet"),
    "evaluate": (["evaluate", "{at}/set", "--engine", "ray"], "_raylet"),
    "pipeline": (["pipeline", "{at}/v", "{at}/out", "--out", "{at}/run"], "libtorch_cpu"),
}
"""Words, and a library that is loaded once the work has begun: the command's own, not Python's."""


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set, videos and a table of requests."""
    folder = tmp_path_factory.mktemp("ctrl_c")
    write_dataset(folder / "set")
    (folder / "v").mkdir()
    shot = Shot(duration_s=1.6, faces=(Face(width_px=110),))
    render([shot], folder / "v/a.mp4", VideoFormat(width=320, height=240))
    write_portrait(folder / "a.png")
    write_sound(folder / "a.wav", 0.5)
    write_table(folder / "r.csv", [{"reference": "a.png", "audio": "a.wav"}])
    return folder


@contextmanager
def at_a_terminal(words: list[str]) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Start the command as a terminal's foreground job; give it and the terminal's other end."""
    ours, theirs = pty.openpty()

    def take_terminal() -> None:
        os.setsid()
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    told = {k: v for k, v in os.environ.items() if k not in ("PREFECT_API_URL", "RAY_ADDRESS")}
    command = [sys.executable, "-m", "vexpress.flows.cli.app", *words]
    run = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=told, preexec_fn=take_terminal
    )
    os.close(theirs)
    try:
        yield run, ours
    finally:
        run.kill()
        run.wait()
        os.close(ours)


def wait_for(run: "subprocess.Popen[bytes]", library: str) -> None:
    """Wait until the command has loaded a library."""
    deadline = time.monotonic() + PATIENCE_S
    while library not in Path(f"/proc/{run.pid}/maps").read_text():
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)


def read(terminal: int) -> str:
    """Return what was printed, without colours; a terminal whose program is gone says EIO."""
    found = b""
    try:
        while data := os.read(terminal, 4096):
            found += data
    except OSError:
        pass
    return re.sub("\x1b\\[[0-9;?]*[a-zA-Z]", "", found.decode())


@pytest.mark.parametrize(
    ("words", "library"),
    [
        *(pytest.param(*told, id=name) for name, told in COMMANDS.items()),
        *(pytest.param(*told, id=f"{n} long", marks=pytest.mark.slow) for n, told in RAY.items()),
    ],
)
def test_ctrl_c_ends_a_command(
    words: list[str], library: str, material: Path, tmp_path: Path
) -> None:
    shutil.copytree(material, tmp_path, dirs_exist_ok=True)
    with at_a_terminal([word.format(at=tmp_path) for word in words]) as (run, terminal):
        wait_for(run, library)
        family = psutil.Process(run.pid).children(recursive=True)
        began = time.monotonic()
        os.write(terminal, b"\x03")
        said = read(terminal)
        code = run.wait(60)
    assert time.monotonic() - began < WITHIN_S
    assert code == 130 and said.count(STOPPED) == 1, said
    assert "Traceback" not in said and said.rstrip().endswith(STOPPED), said
    assert psutil.wait_procs(family, timeout=5)[1] == [], "something was left running"
