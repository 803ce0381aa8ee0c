"""Processes of a stack: started, remembered across crashes, stopped, and nobody else's.

A process is known by its id together with its start time. All of a stack also carry its
mark in their environment, and hand it on, so that what a killed parent left is found too.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from vexpress.schemas.row import Model

MARK = "VEXPRESS_STACK"
"""Environment variable that all processes of a stack carry."""
CLOCK_S = 2.0
"""How far the start time of one process may seem to move when the clock is corrected."""
GRACE_S = 30.0
"""How long a process may take to end by itself."""


class Started(Model):
    """A process that was started."""

    pid: int
    """Process id."""
    at: float
    """When it started, seconds since 1970."""

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs, None if it ended or the id is another's by now."""
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.at) < CLOCK_S
            if same and found.status() != psutil.STATUS_ZOMBIE:
                return found
        return None


def start(command: list[str], env: Mapping[str, str], log: Path, folder: Path) -> Started:
    """Start a process that outlives this one; it writes to `log` and runs in `folder`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=dict(env),
            cwd=folder,
            start_new_session=True,
        )
    return Started(pid=child.pid, at=psutil.Process(child.pid).create_time())


def stop(started: Started, grace_s: float = GRACE_S) -> bool:
    """Ask a process to end, and its children after it; say whether it ran.

    What has not ended after `grace_s` is killed.
    """
    process = started.process()
    if process is None:
        return False
    family = [process, *_children(process)]
    _send(process, signal.SIGTERM)
    psutil.wait_procs([process], timeout=grace_s)
    end(family, grace_s=3)
    return True


def end(processes: list[psutil.Process], grace_s: float) -> None:
    """End processes: asked first, killed after `grace_s`."""
    for process in processes:
        _send(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace_s)


def marked(mark: str) -> Iterator[psutil.Process]:
    """Yield all processes that carry `mark`, but not this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process


def _children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)
