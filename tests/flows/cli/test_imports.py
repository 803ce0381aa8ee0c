"""What a command loads: heavy libraries where they do its work, and never for nothing."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.talking_heads import Face, Shot, VideoFormat, render

HEAVY = {
    *("torch", "transformers", "diffusers", "prefect", "ray", "cv2", "scenedetect", "scipy"),
    *("insightface", "onnxruntime", "dlib", "faster_whisper", "pandas"),
}
SETTINGS = ("--set", "faces.backend=dlib", "--set", "identity.backend=none")
SETTINGS += ("--set", "crop.size=64", "--set", "keep.require_sound=false")
WORDS = {
    "--help": ["--help"],
    "query": ["query", "{dataset}", "SELECT * FROM funnel"],
    "curate": ["curate", "{videos}", "{dataset}", *SETTINGS],
    "report": ["report", "{dataset}"],
}
MAY_LOAD = {
    "--help": set(),
    "query": set(),
    "curate": {"cv2"},  # of the settings of its steps; all is done, nothing is looked at
    "report": {"cv2", "pandas"},
}


def vexpress(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command and let Python say what it imports."""
    command = [sys.executable, "-X", "importtime", "-m", "vexpress.flows.cli.app"]
    done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def loaded(done: subprocess.CompletedProcess[str]) -> set[str]:
    """Heavy libraries that a command imported."""
    return set(re.findall(r"^import time:.*\| +(\w+)$", done.stderr, re.MULTILINE)) & HEAVY


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A video, and the data set that it became."""
    folder = tmp_path_factory.mktemp("imports")
    size = VideoFormat(width=320, height=240)
    render([Shot(duration_s=1.2, faces=(Face(width_px=110),))], folder / "talk.mp4", size)
    found = {"videos": str(folder / "talk.mp4"), "dataset": str(folder / "set")}
    first = vexpress(*[word.format(**found) for word in WORDS["curate"]])
    assert {"cv2", "dlib", "scenedetect"} <= loaded(first), "the test would see what it loads"
    assert "prefect" not in loaded(first) and "ray" not in loaded(first)
    return found


@pytest.mark.parametrize("command", WORDS)
def test_a_command_loads_what_it_needs(places: dict[str, str], command: str) -> None:
    said = vexpress(*[word.format(**places) for word in WORDS[command]])
    assert loaded(said) <= MAY_LOAD[command]
    assert command != "curate" or "nothing to do: the source is done" in said.stdout


def test_a_finished_data_set_costs_seconds(places: dict[str, str]) -> None:
    words = [word.format(**places) for word in WORDS["curate"]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run([sys.executable, "-m", "vexpress.flows.cli.app", *words], check=True)
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 4


def test_a_run_here_knows_nothing_of_prefect_nor_of_a_proxy(
    places: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "prefect"
    home.mkdir()
    (home / "prefect.db").write_bytes(b"a database of a version that is not this one")
    nobody = "http://127.0.0.1:9"
    environment = {**os.environ, "PREFECT_HOME": str(home), "PREFECT_API_URL": ""}
    environment |= {"http_proxy": nobody, "https_proxy": nobody, "HTTP_PROXY": nobody}
    before = (home / "prefect.db").read_bytes()
    words = [word.format(**places) for word in WORDS["curate"]]
    command = [sys.executable, "-m", "vexpress.flows.cli.app", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing to do" in done.stdout
    assert [path.name for path in home.iterdir()] == ["prefect.db"]
    assert (home / "prefect.db").read_bytes() == before
