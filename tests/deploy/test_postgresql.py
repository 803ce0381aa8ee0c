"""Prefect's server on a real PostgreSQL, started as the compose file starts it: by the image's
entry point, with the password in a file. A curation leaves its states there."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml

from tests.helpers.postgresql import DATABASE, Postgres, find_binaries, free_port, running
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.flows.server.deployments import filled

DEPLOY = Path(__file__).parents[2] / "deploy"
BIN = Path(sys.executable).parent
PATIENCE_S = 90
AUTH = "someone:secret"


@dataclass(frozen=True)
class Server:
    """A running Prefect server."""

    api: str
    postgres: Postgres
    home: Path
    log: Path

    def run(self, *command: str) -> str:
        """Run a command as a client of this server; gives its output."""
        own = {"PREFECT_API_URL": self.api, "PREFECT_HOME": str(self.home)}
        own["PREFECT_API_AUTH_STRING"] = AUTH
        program = [str(BIN / command[0]), *command[1:]]
        done = subprocess.run(
            program, env={**os.environ, **own}, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Ask the database itself."""

        async def fetch() -> list[dict[str, Any]]:
            connection = await asyncpg.connect(self.postgres.url)
            try:
                return [dict(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(fetch())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Prefect's server with the settings of deploy/compose.yaml, on a free port."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL here (`make postgres` installs Debian's package)")
    folder = tmp_path_factory.mktemp("server")
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    environment = dict(compose["services"]["server"]["environment"])
    with running(binaries) as postgres:
        port = free_port()
        secret = folder / "api_auth"
        secret.write_text(AUTH)
        environment |= {
            "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1",
            "PREFECT_SERVER_DATABASE_PORT": str(postgres.port),
            "PREFECT_SERVER_DATABASE_NAME": DATABASE,
            "PREFECT_SERVER_DATABASE_PASSWORD_FILE": str(postgres.password_file),
            "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_AUTH_STRING_FILE": str(secret),
            "PREFECT_HOME": str(folder),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        start = ["python", "-m", "vexpress.flows.server.app", "--port", str(port)]
        log = folder / "server.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [str(DEPLOY / "entrypoint.sh"), *start],
                env={**os.environ, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        try:
            api = f"http://127.0.0.1:{port}/api"
            wait_for(f"{api}/health", process, log)
            yield Server(api, postgres, folder, log)
        finally:
            process.terminate()
            process.wait(30)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise AssertionError(f"no answer from {url}:\n{log.read_text()}")


@pytest.mark.slow
def test_a_curation_leaves_its_states_in_postgresql(server: Server, tmp_path: Path) -> None:
    speech = (Speech(text="The market moves into the long hall.", start_s=0.2),)
    shot = Shot(duration_s=4, faces=(Face(width_px=220),), speech=speech)
    render([shot], tmp_path / "talk.mp4", VideoFormat(width=480, height=360))
    rules = ("keep.min_face_side_px=50", "keep.min_frames=25", "faces.backend=dlib")
    settings = [word for rule in rules for word in ("--set", rule)]
    given = [str(tmp_path / "talk.mp4"), str(tmp_path / "set")]
    said = server.run("vexpress", "curate", *given, *settings)
    assert "1 source" in said

    runs = server.ask("SELECT name, state_type::text, parameters FROM flow_run")
    assert [run["state_type"] for run in runs] == ["COMPLETED"]
    assert json.loads(runs[0]["parameters"])["dataset"] == str(tmp_path / "set")
    batches = server.ask("SELECT name, state_type::text FROM task_run ORDER BY name")
    assert ("batch 1 of 1", "COMPLETED") in [tuple(batch.values()) for batch in batches]
    keys = {row["key"] for row in server.ask("SELECT key FROM artifact")}
    assert {"funnel", "summary"} <= keys
    assert not (server.home / "prefect.db").exists(), "nothing went into SQLite"


def test_the_work_pool_of_kubernetes_takes_our_template(server: Server) -> None:
    template = filled(json.loads((DEPLOY / "kubernetes/base-job-template.json").read_text()))
    file = server.home / "template.json"
    file.write_text(json.dumps(template))
    create = ("prefect", "work-pool", "create", "vexpress-kubernetes", "--type", "kubernetes")
    server.run(*create, "--base-job-template", str(file))
    (pool,) = server.ask("SELECT type, base_job_template FROM work_pool WHERE type = 'kubernetes'")
    assert json.loads(pool["base_job_template"]) == template


def test_the_password_is_in_no_log(server: Server) -> None:
    assert server.postgres.password_file.read_text() not in server.log.read_text()
