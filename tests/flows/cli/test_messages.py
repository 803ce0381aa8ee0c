"""What people do to a machine is answered in one sentence, with the exit codes of the docs."""

import http.server
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from tests.helpers.ports import free_port
from vexpress.flows.cli.app import app
from vexpress.flows.cli.evaluate import say
from vexpress.flows.cli.running import ask_server
from vexpress.flows.server.environment import pass_proxies_by
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.manifest import prepare_manifests
from vexpress.tasks.engine.units import decode
from vexpress.tasks.evaluate_videos import EvaluateReport

NOBODY = 65534
DLIB = ("--set", "faces.backend=dlib", "--set", "identity.backend=none")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty data set."""
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    return made


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A file that is no video."""
    (tmp_path / "later.mp4").write_bytes(b"not a video yet")
    return tmp_path / "later.mp4"


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that this user may not write to, and one in it that may not be read."""
    folder = Path(tempfile.mkdtemp())
    (folder / "a.mp4").write_bytes(b"not a video yet")
    (folder / "videos").mkdir()
    (folder / "videos").chmod(0)
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:  # to whom everything is open
        os.seteuid(NOBODY)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def vexpress(*words: str | Path, **environment: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, list(map(str, words)), env=environment)


def said(done: Result) -> str:
    """The one line that a command said on standard error, having ended with 2."""
    assert done.exit_code == 2, (done.output, done.exception)
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("vexpress: "), done.stderr
    return done.stderr


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_a_damaged_ledger_is_said(dataset: Dataset, video: Path, engine: str) -> None:
    dataset.ledger_path.write_bytes(b"nothing that SQLite wrote" * 100)
    done = vexpress("curate", video, dataset.root, *DLIB, "--engine", engine)
    assert "ledger.sqlite is damaged (file is not a database)" in said(done)


def test_a_ledger_of_a_newer_version_is_said(dataset: Dataset, video: Path) -> None:
    database = sqlite3.connect(dataset.ledger_path)
    database.execute("PRAGMA user_version = 7")
    database.close()
    assert "format 0, found 7" in said(vexpress("curate", video, dataset.root, *DLIB))


@pytest.mark.parametrize("answer", [b"Hologram\n{}", b'Cuts\n{"times": 1, "depth": 2}', b"\xff"])
def test_an_answer_of_a_newer_version_is_said(answer: bytes) -> None:
    with pytest.raises(DatasetError, match="expected an answer of this version"):
        decode(answer)


def test_a_folder_that_may_not_be_written_is_said(closed: Path) -> None:
    told = said(vexpress("curate", closed / "a.mp4", closed / "set", *DLIB))
    assert str(closed / "set") in told and "Permission denied for user" in told


def test_a_place_that_is_no_folder_is_said(video: Path) -> None:
    told = said(vexpress("curate", video, video / "set", *DLIB))
    assert f"{video}/set" in told and "Not a directory. Name a folder" in told


def test_a_folder_of_videos_that_may_not_be_read_is_said(closed: Path) -> None:
    told = said(vexpress("curate", closed / "videos", closed / "set", *DLIB))
    assert f"{closed}/videos: expected a folder that can be read: Permission denied" in told


def test_a_cluster_that_is_gone_is_said(dataset: Dataset, video: Path) -> None:
    address, began = f"127.0.0.1:{free_port()}", time.monotonic()
    words = ("curate", video, dataset.root, *DLIB, "--engine", "ray")
    told = said(vexpress(*words, RAY_ADDRESS=address))
    assert f"RAY_ADDRESS={address}: nothing answers there" in told and "unset" in told
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("python", "most_mb", "expected"),
    [((), 400, "not enough memory (`ulimit -v` allows 400 MB)"), (("-OO",), 0, "python -OO")],
)
def test_a_process_without_memory_or_texts_is_said(
    dataset: Dataset, python: tuple[str, ...], most_mb: int, expected: str
) -> None:
    most = most_mb << 20 or resource.RLIM_INFINITY
    done = subprocess.run(
        [
            sys.executable,
            *python,
            "-m",
            "vexpress.flows.cli.app",
            "query",
            dataset.root,
            "SELECT 1",
        ],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (most, most)),
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert expected in done.stderr and done.stderr.count("\n") == 1


class Healthy(http.server.BaseHTTPRequestHandler):
    """Answers everything with 200."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *words: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize("told", [None, "example.org", "*"])
def test_no_proxy_stands_before_this_machine(
    told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", told or "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setattr(urllib.request, "_opener", None)  # it keeps the proxies of before
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    assert ask_server(url)[0] is (told == "*"), "the proxy is asked"
    pass_proxies_by()
    assert ask_server(url) == (True, "answers 200")
    assert (told or "") in os.environ["no_proxy"]
    server.shutdown()


def test_a_run_in_which_every_source_failed_ends_with_3(dataset: Dataset, video: Path) -> None:
    for _ in range(2):  # also where it was done before
        done = vexpress("curate", video, dataset.root, *DLIB)
        assert (done.exit_code, done.stderr) == (3, "vexpress: all 1 sources failed\n")


def test_a_run_in_which_every_request_failed_ends_with_3(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("reference,audio\na.png,a.wav\nb.png,b.wav\n")
    for _ in range(2):
        done = vexpress("generate-batch", tmp_path / "r.csv", dataset.root, "--preset", "tiny")
        assert done.exit_code == 3, (done.output, done.exception)
        assert done.stderr.endswith("vexpress: all 2 requests failed\n")


def test_an_evaluation_in_which_every_video_failed_ends_with_3(dataset: Dataset) -> None:
    facts = {"run_id": "r", "videos": 2, "videos_done_before": 0, "report": "", "notes": []}
    say(EvaluateReport(**facts, failed=1), dataset.root)
    with pytest.raises(SystemExit, match="3"):
        say(EvaluateReport(**facts, failed=2), dataset.root)
