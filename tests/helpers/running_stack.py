"""A stack as a person starts it, and what tests ask its server."""

import contextlib
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import FlowRun

from tests.helpers.ports import free_port
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.flows.server.password import read_or_make
from vexpress.flows.server.processes import marked
from vexpress.flows.server.stack import Stack, load
from vexpress.tasks.curate.config import load_config

PATIENCE_S = 900.0
SECRET = "planted-4be1d07a92"
"""What the worker of the tests' stack is told and nobody may read."""


def wait(ready: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> Any:
    """Return the first true answer of `ready`."""
    deadline = time.monotonic() + patience_s
    while not (answer := ready()):
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(0.25)
    return answer


class RunningStack:
    """`vexpress up` and `down` over a folder of data, and a client of the server."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.state, self.data = folder / "state", folder / "data"
        self.environment = environment
        self.port = free_port()

    def command(self, *words: str) -> str:
        """Give a `vexpress` command; return what it said."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PREFECT_")}
        environment |= self.environment
        python = [sys.executable, "-m", "vexpress.flows.cli.app"]
        done = subprocess.run([*python, *words], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *more: str) -> str:
        """Start it."""
        where = ["--state", str(self.state), "--port", str(self.port)]
        return self.command("up", str(self.data), *where, *more)

    def down(self) -> str:
        """Stop it."""
        return self.command("down", "--state", str(self.state))

    @property
    def stack(self) -> Stack:
        """What was started."""
        stack = load(self.state)
        assert stack is not None
        return stack

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """A client of the server."""
        password = read_or_make(self.state)
        with SyncPrefectClient(f"{self.url}/api", auth_string=password) as client:
            yield client

    def trigger(self, name: str, parameters: dict[str, Any]) -> UUID:
        """Start a run of a deployment."""
        with self.client() as client:
            deployment = client.read_deployment_by_name(f"{name}/{name}")
            run = client.create_flow_run_from_deployment(deployment.id, parameters=parameters)
            return run.id

    def state_of(self, run: UUID) -> str:
        """Name of a run's state."""
        with self.client() as client:
            state = client.read_flow_run(run).state
            assert state is not None
            return str(state.name)

    def finish(self, run: UUID) -> str:
        """Wait until a run has ended; return the name of its state."""
        ended = {"Completed", "Failed", "Crashed", "Cancelled"}
        return str(wait(lambda: ended & {self.state_of(run)}, "the run's end").pop())

    def complete(self, run: UUID) -> None:
        """Wait for the end of a run, which must be a good one."""
        name = self.finish(run)
        with self.client() as client:
            state = client.read_flow_run(run).state
        assert name == "Completed", f"{name}: {state and state.message}"

    def artifacts(self, run: UUID) -> dict[str, Any]:
        """Newest artifacts of a run, by key."""
        ours = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        with self.client() as client:
            found = client.read_artifacts(artifact_filter=ours)
        return {str(artifact.key): artifact for artifact in found}

    def runs_of(self, name: str) -> list[FlowRun]:
        """All runs of a deployment."""
        with self.client() as client:
            deployment = client.read_deployment_by_name(f"{name}/{name}")
            ours = FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]))
            return list(client.read_flow_runs(flow_run_filter=ours))

    def processes(self, word: str = "") -> list[psutil.Process]:
        """Processes of the stack whose command line has a word."""
        found = []
        for process in marked(self.stack.mark):
            with contextlib.suppress(psutil.Error):
                if word in " ".join(process.cmdline()):
                    found.append(process)
        return found


def write_videos(folder: Path, many: int) -> None:
    """`videos/`: one to keep and one that is broken; `many/`: others with its pictures."""
    (folder / "videos").mkdir(parents=True)
    (folder / "many").mkdir()
    say = (Speech(start_s=0.1, text="Every run that stops goes on where it was."),)
    shots = [Shot(duration_s=2.4, faces=(Face(width_px=150),), speech=say), Shot(duration_s=0.6)]
    first = folder / "videos/first.mp4"
    render(shots, first, VideoFormat(width=480, height=360))
    (folder / "videos/broken.mp4").write_bytes(b"no video at all")
    content = first.read_bytes()
    for number in range(many):  # an empty box behind makes other content of the same pictures
        box = struct.pack(">I4sI", 12, b"free", number)
        (folder / f"many/{number:02}.mp4").write_bytes(content + box)


def curate_config(**engine: Any) -> dict[str, Any]:
    """Settings that keep the rendered face, as the form sends them."""
    settings = ["faces.backend=dlib", "keep.min_face_side_px=40"]
    tree: dict[str, Any] = load_config("permissive", None, settings).model_dump(mode="json")
    return {**tree, "engine": {**tree["engine"], **engine}}
