"""Processes of a stack are found again, stopped whole, and never taken for somebody else's."""

import os
import sys
import time
from pathlib import Path

import psutil

from vexpress.flows.server.processes import CLOCK_S, MARK, Started, end, marked, start, stop

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"])
print(child.pid, flush=True)
time.sleep(100)
"""


def start_parent(folder: Path, mark: str) -> tuple[Started, psutil.Process]:
    """Start a process that starts another, and return both."""
    log = folder / "log"
    environment = {**os.environ, MARK: mark}
    folder.mkdir(exist_ok=True)
    started = start([sys.executable, "-c", PARENT], environment, log, folder)
    while not (said := log.read_text().strip()):
        time.sleep(0.02)
    return started, psutil.Process(int(said))


def test_a_process_is_stopped_with_its_children(tmp_path: Path) -> None:
    started, child = start_parent(tmp_path, "whole")
    assert started.process() is not None
    assert stop(started)
    assert started.process() is None and not child.is_running()
    assert not stop(started), "what has ended is not stopped again"


def test_what_a_killed_parent_left_is_found_by_its_mark(tmp_path: Path) -> None:
    started, child = start_parent(tmp_path, "orphan")
    other, other_child = start_parent(tmp_path / "other", "not orphan")
    parent = started.process()
    assert parent is not None
    parent.kill()
    parent.wait()
    assert not stop(started) and child.is_running()
    end(list(marked("orphan")), grace_s=5)
    assert not child.is_running()
    assert other.process() is not None and other_child.is_running(), "not ours: left alone"
    stop(other)


def test_an_id_that_went_to_another_process_is_not_ours() -> None:
    me = psutil.Process()
    assert Started(pid=me.pid, at=me.create_time()).process() == me
    earlier = Started(pid=me.pid, at=me.create_time() - 2 * CLOCK_S)
    assert earlier.process() is None and not stop(earlier)
