"""The embedded server of a run that was killed does not stay for ever."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from vexpress.flows.server.embedded import SERVER, end_orphans

RUN = """
from vexpress.flows.server.embedded import prepare
prepare()
from prefect import flow
@flow
def wait():
    print("running", flush=True)
    __import__("time").sleep(100)
wait()
"""


def server_of(run: subprocess.Popen[str]) -> psutil.Process:
    (server,) = [p for p in psutil.Process(run.pid).children() if SERVER in p.cmdline()]
    return server


def test_the_server_of_a_killed_run_is_ended_and_no_other(tmp_path: Path) -> None:
    command, home = [sys.executable, "-c", RUN], {"PREFECT_HOME": str(tmp_path)}
    environment = {**os.environ, **home}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, text=True) as run:
        assert run.stdout is not None and run.stdout.readline().strip() == "running"
        server = server_of(run)
        end_orphans()
        time.sleep(1)
        assert server.is_running() and server.status() != psutil.STATUS_ZOMBIE
        run.send_signal(signal.SIGKILL)
        run.wait()
        assert server.is_running(), "it outlives the run"
        end_orphans()
        psutil.wait_procs([server], timeout=20)
        assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE
