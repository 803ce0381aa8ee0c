"""34 requests, 10 of them bad, through actors; one is killed, then the run; it is run again."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.helpers.small_requests import SMALL, write_kps, write_portrait, write_sound, write_table
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import connect

REPOSITORY = Path(__file__).parents[2]
SECRET = "planted-7f3a9c51e0"
GOOD, BAD, COMPARED = 24, 10, 6


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three portraits, six sounds, driving points; and everything that is wrong."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("astronaut", "mirrored", "narrow"):
        write_portrait(folder / f"{name}.png", name)
    for number in range(6):
        write_sound(folder / f"s{number}.wav", 0.25 + 0.15 * number, 110 + 20 * number)
    write_kps(folder / "k.pth")
    Image.new("RGB", (200, 200), "grey").save(folder / "nobody.png")
    (folder / "text.png").write_text("no picture")
    (folder / "away.png").symlink_to("/etc/hostname")
    (folder / "points.pth").write_bytes(b"no points")
    (folder / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(4000))
    write_sound(folder / "long.wav", 4)
    silent = bytearray(write_sound(folder / "silent.wav", 0.5).read_bytes())
    silent[44:] = bytes(len(silent) - 44)
    (folder / "silent.wav").write_bytes(silent)
    return folder


def good_rows(count: int = GOOD) -> list[dict[str, Any]]:
    """Different requests of three portraits, every fourth with driving points."""
    rows = []
    for number in range(count):
        name = ("astronaut", "mirrored", "narrow")[number % 3]
        row = {"name": f"good {number}", "reference": f"{name}.png", "seed": number}
        row |= {"audio": f"s{number % 6}.wav", **SMALL, "fps": 8}
        rows.append(row | ({"kps": "k.pth"} if number % 4 == 3 else {}))
    return rows


BAD_ROWS = {
    "no_file": {"reference": "missing.png"},
    "not_allowed": {"reference": "../../etc/passwd"},
    "not_allowed 2": {"reference": "away.png"},
    "not_allowed 3": {"audio": "file:///etc/passwd"},
    "bad_portrait": {"reference": "text.png"},
    "bad_portrait 2": {"reference": "nobody.png"},
    "bad_sound": {"audio": "noise.mp3"},
    "bad_sound 2": {"audio": "silent.wav"},
    "bad_points": {"kps": "points.pth"},
    "too_long": {"audio": "long.wav"},
}


@pytest.fixture(scope="module")
def table(inputs: Path) -> Path:
    """34 requests, the bad ones between the good ones."""
    rows = good_rows()
    for number, (name, change) in enumerate(BAD_ROWS.items()):
        row = {"name": name, "reference": "narrow.png", "audio": "s0.wav", **SMALL, **change}
        rows.insert(2 + 3 * number, row)
    assert len(rows) == GOOD + BAD
    return write_table(inputs / "requests.csv", rows)


def start(table: Path, dataset: Path, home: Path, *more: str) -> subprocess.Popen[str]:
    """Start the command, with a secret in its environment; all it says goes to a file."""
    environment = {name: v for name, v in os.environ.items() if name != "RAY_ADDRESS"}
    environment |= {
        "PYTHONPATH": str(REPOSITORY),
        "PREFECT_HOME": str(home),
        "PREFECT_LOGGING_LEVEL": "INFO",
        "OMP_NUM_THREADS": "1",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "VEXPRESS_TOKEN": SECRET,
    }
    command = [
        sys.executable,
        "-m",
        "vexpress.flows.cli.app",
        "generate-batch",
        str(table),
        str(dataset),
    ]
    options = ["--preset", "tiny", "--set", "limits.sound_s=3"]
    options += ["--set", "model.face_model=./none", *more]
    home.mkdir(exist_ok=True)
    with (home / "said.txt").open("a") as said:
        return subprocess.Popen(
            [*command, *options], env=environment, stdout=said, stderr=said, text=True
        )


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], home: Path) -> None:
    """Wait until something is so, or fail with all that was said."""
    deadline = time.monotonic() + 900
    while not what():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail((home / "said.txt").read_text()[-4000:])
        time.sleep(0.05)


def actors_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The run's actors that make videos."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            name = " ".join(child.cmdline())
        except psutil.Error:
            continue
        found += [child] if name.startswith("ray::Generator") else []
    return found


def videos(dataset: Path) -> dict[str, str]:
    """Hash of each video by its name."""
    found = sorted((dataset / "generations").glob("*.mp4"))
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def ask(dataset: Path, sql: str) -> list[tuple[Any, ...]]:
    return connect(Dataset(dataset)).execute(sql).fetchall()


@pytest.mark.slow
def test_after_a_dead_actor_and_a_dead_run_every_request_is_there_once(
    table: Path, inputs: Path, tmp_path: Path
) -> None:
    dataset, home = tmp_path / "set", tmp_path / "home"
    on_ray = ["--engine", "ray", "--workers", "2"]
    first = start(table, dataset, home, *on_ray)
    wait_for(lambda: len(videos(dataset)) >= 4, first, home)
    actors = actors_of(first)
    assert len(actors) == 2
    actors[0].send_signal(signal.SIGKILL)
    wait_for(lambda: len(videos(dataset)) >= 10, first, home)
    actors = actors_of(first)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    psutil.wait_procs(actors, timeout=30)
    before = videos(dataset)
    assert 10 <= len(before) < GOOD, "the kill was too late to show anything"

    again = start(table, dataset, home, *on_ray)
    assert again.wait(timeout=900) == 0, (home / "said.txt").read_text()[-4000:]
    check_all_there_once(dataset)
    after = videos(dataset)
    assert len(after) == GOOD and before.items() <= after.items(), "nothing is made twice"
    check_bad_rows(dataset)

    unbroken = tmp_path / "unbroken"
    some = write_table(inputs / "some.csv", good_rows(COMPARED))
    assert start(some, unbroken, home, *on_ray).wait(timeout=900) == 0
    expected = videos(unbroken)
    assert len(expected) == COMPARED
    assert expected.items() <= after.items(), "the same bytes as an unbroken run"
    check_no_secret(tmp_path)
    assert "leaked" not in (home / "said.txt").read_text()


def check_all_there_once(dataset: Path) -> None:
    """One row a request in the manifest's files, no leftovers, every video whole."""
    rows = ask(dataset, "SELECT status, count(*) FROM generations GROUP BY status ORDER BY ALL")
    assert rows == [("made", GOOD), ("rejected", BAD)]
    parts = f"read_parquet('{dataset}/manifests/generations/*.parquet')"
    twice = f"SELECT name FROM {parts} WHERE status = 'made' GROUP BY name HAVING count(*) > 1"
    assert ask(dataset, twice) == []
    (most,) = ask(dataset, "SELECT max(attempt) FROM generations WHERE status = 'made'")[0:1]
    assert most[0] == 2, "the dead actor's request was made by another"
    assert not list((dataset / "generations").glob("*.json"))
    assert not [p for p in (dataset / ".tmp").rglob("*") if p.is_file()]
    names = "SELECT out_path, frames, width, len(asked_kps) FROM generations WHERE status = 'made'"
    for out_path, frames, width, points in ask(dataset, names)[::5]:
        with av.open(str(dataset / out_path)) as container:
            assert container.streams.video[0].frames == frames == points
            assert container.streams.video[0].width == width and container.streams.audio


def check_bad_rows(dataset: Path) -> None:
    query = "SELECT name, reason, detail FROM generations WHERE status = 'rejected'"
    found = ask(dataset, query)
    assert {name: reason for name, reason, _ in found} == {n: n.split()[0] for n in BAD_ROWS}
    assert all(len(detail) > 20 for *_, detail in found)
    page = (dataset / "generations.html").read_text()
    assert f"{GOOD} videos" in page and "10 requests without one" in page
    assert page.count("data:image/jpeg") == 3 * GOOD


def check_no_secret(folder: Path) -> None:
    """Not in the data sets, not in what was said."""
    kinds: Counter[str] = Counter()
    for path in folder.rglob("*"):
        if path.is_file():
            kinds[path.suffix] += 1
            assert SECRET.encode() not in path.read_bytes(), path
        if path.suffix == ".parquet":  # compressed: what it says, not how it is written
            assert SECRET not in str(pq.read_table(path).to_pylist()), path
    assert kinds[".parquet"] and kinds[".txt"] and kinds[".html"]
