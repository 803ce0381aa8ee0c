"""The `vexpress` command, run as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.talking_heads import Face, Shot, Speech, VideoFormat, render

VEXPRESS = Path(sys.executable).with_name("vexpress")
DLIB = ("--set", "faces.backend=dlib")


def vexpress(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command; standard output and error as text."""
    return subprocess.run(
        [VEXPRESS, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=300,
    )


def ask(dataset: Path, sql: str) -> list[dict[str, object]]:
    """Return the rows that `vexpress query` answers with."""
    answer = vexpress("query", dataset, sql, "--format", "json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good video and one that cannot be read, in a folder with a hostile name."""
    folder = tmp_path_factory.mktemp("it's [a] folder")
    speech = (Speech(start_s=0.2, text="This is the only sentence that is ever said here."),)
    shots = [
        Shot(duration_s=4.0, faces=(Face(width_px=220),), speech=speech),
        Shot(duration_s=1.2),
    ]
    render(shots, folder / "talk.mp4", VideoFormat(width=640, height=480))
    (folder / "later.mp4").write_bytes(b"not a video yet")
    return folder


@pytest.fixture(scope="module")
def dataset(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set that one `vexpress curate` makes of `videos`."""
    folder = tmp_path_factory.mktemp("out") / "data set"
    done = vexpress("curate", videos, folder, *DLIB, "--licence", "CC0")
    assert done.returncode == 0, done.stderr
    assert "1 clip kept" in done.stdout
    assert done.stderr == ""
    return folder


def test_curate_leaves_rows_media_and_a_report(videos: Path, dataset: Path) -> None:
    kept = ask(dataset, "SELECT * FROM kept")
    assert len(kept) == 1
    clip = kept[0]
    assert clip["source"] == str(videos / "talk.mp4")
    assert clip["frames"] == 100
    assert (dataset / str(clip["media_path"])).is_file()
    assert (dataset / str(clip["audio_path"])).is_file()
    assert clip["features_note"] == "skipped: no wav2vec2 weights"
    assert ask(dataset, "SELECT reason FROM rejected") == [{"reason": "no_face"}]
    broken = ask(dataset, "SELECT reason, licence FROM videos WHERE status = 'rejected'")
    assert broken == [{"reason": "unreadable", "licence": "CC0"}]
    assert "<html" in (dataset / "report.html").read_text()
    run = ask(dataset, "SELECT config, weights, notes, snapshot FROM runs")[0]
    assert json.loads(str(run["config"]))["faces"]["backend"] == "dlib"
    assert "CC0" in json.loads(str(run["weights"]))[0]["licence"]
    listed = json.loads((dataset / str(run["snapshot"])).read_text())["files"]
    assert {
        "file": f"manifests/runs/{Path(str(run['snapshot'])).stem}.parquet",
        "rows": 1,
    } in listed


def test_a_finished_data_set_run_again_does_nothing(videos: Path, dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset.rglob("media/*")}
    again = vexpress("curate", videos, dataset, *DLIB, "--licence", "CC0")
    assert "nothing to do: all 2 sources are done" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("media/*")} == before
    assert len(ask(dataset, "SELECT run_id FROM runs")) == 1


def test_a_looser_threshold_is_another_funnel_without_watching_again(
    videos: Path, dataset: Path
) -> None:
    done = vexpress("curate", videos, dataset, *DLIB, "--set", "keep.min_frames=101")
    assert done.returncode == 0, done.stderr
    assert ask(dataset, "SELECT status, reason FROM clips WHERE track_id IS NOT NULL") == [
        {"status": "rejected", "reason": "too_short"}
    ]
    seconds = ask(dataset, "SELECT step_seconds FROM runs ORDER BY started_at DESC LIMIT 1")
    assert "faces" not in {k for k, v in json.loads(str(seconds[0]["step_seconds"])).items() if v}
    vexpress("curate", videos, dataset, *DLIB, "--licence", "CC0")
    assert len(ask(dataset, "SELECT * FROM kept")) == 1


def test_retry_runs_failures_again_and_only_those(videos: Path, tmp_path: Path) -> None:
    source = tmp_path / "videos"
    source.mkdir()
    good = (videos / "talk.mp4").read_bytes()
    (source / "late.mp4").write_bytes(good[:1000] + bytes(len(good) - 1000))
    stamp = (source / "late.mp4").stat()
    out = tmp_path / "out"
    vexpress("curate", source, out, *DLIB)
    assert ask(out, "SELECT status FROM videos") == [{"status": "rejected"}]

    (source / "late.mp4").write_bytes(good)
    os.utime(source / "late.mp4", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert "nothing to do" in vexpress("curate", source, out, *DLIB).stdout

    done = vexpress("retry", out)
    assert done.returncode == 0, done.stderr
    assert ask(out, "SELECT status FROM videos") == [{"status": "ok"}]
    assert len(ask(out, "SELECT * FROM kept")) == 1
    assert "nothing to do" in vexpress("retry", out).stdout


def test_dry_run_says_what_would_run_and_makes_nothing(videos: Path, tmp_path: Path) -> None:
    said = vexpress("curate", videos, tmp_path / "out", *DLIB, "--dry-run")
    assert said.returncode == 0, said.stderr
    assert "2 sources, 0 done before, 2 to run" in said.stdout
    assert "minutes here" in said.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ["--set", "keep.min_frame=3"],
            "keep.min_frame: no such setting. Did you mean `keep.min_frames`?",
        ),
        (["--set", "crop.size=wide"], "crop.size: expected a valid integer"),
        (["--set", "crop"], "expected group.key=value, such as "),
        (["--set", "faces.model=/nowhere"], "face model '/nowhere'"),
        (["--set", "features.model=mine"], "expected a transformers folder with a wav2vec2"),
        (["--config", "/nowhere.yaml"], "expected a YAML file"),
    ],
)
def test_a_wrong_configuration_is_refused_before_any_work(
    videos: Path, tmp_path: Path, arguments: list[str], expected: str
) -> None:
    from vexpress.flows.cli.app import app

    command = ["curate", str(videos), str(tmp_path / "out"), *arguments]
    done = CliRunner().invoke(app, command, env={"HF_HUB_OFFLINE": "1"})
    assert done.exit_code == 2
    assert expected in done.stderr
    assert done.exception is None or isinstance(done.exception, SystemExit)
    assert not (tmp_path / "out").exists()


def test_every_command_is_in_the_documentation_and_helps() -> None:
    import typer.main

    from vexpress.flows.cli.app import app

    root = Path(__file__).parents[3]
    pages = "\n".join(page.read_text() for page in (root / "README.md", *root.glob("docs/*.md")))
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        if command.hidden:  # a name of an earlier version
            continue
        assert f"vexpress {name}" in pages, f"neither README.md nor docs/ show `vexpress {name}`"
        assert command.help, f"`vexpress {name} --help` says nothing"
