"""The chain from sources to clips: right rows, nothing done twice, the same on both engines."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from tests.conftest import ASSETS
from tests.helpers.tiny_wav2vec2 import save_model
from tests.talking_heads import Face, Shot, Speech, Truth, render
from tests.tasks.conftest import SMALL
from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import FullDisk
from vexpress.schemas.manifest import prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.schemas.row import Row
from vexpress.tasks.curate.chain import (
    curate_batch,
    fingerprint,
    plan_batches,
    used_weights,
)
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.crop import CropConfig
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.curate.features import FeatureConfig
from vexpress.tasks.curate.filter import KeepRules
from vexpress.tasks.curate.missing_files import sources_with_missing_files
from vexpress.tasks.curate.scenes import SceneConfig
from vexpress.tasks.curate.scores.identity import IdentityConfig
from vexpress.tasks.curate.scores.image_quality import ImageQualityConfig
from vexpress.tasks.curate.scores.quality import QualityConfig
from vexpress.tasks.curate.sound import SoundConfig
from vexpress.tasks.curate.speech.transcribe import SpeechConfig
from vexpress.tasks.curate.vad import VadConfig
from vexpress.tasks.engine.engine import EngineConfig, open_engine
from vexpress.tasks.engine.ledger import Tally
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.weights import Weights
from vexpress.tasks.media.source import list_sources
from vexpress.tasks.reports.what_if import compare

SHOTS = [
    Shot(
        duration_s=1.6,
        faces=(Face(width_px=140),),
        speech=(Speech(text="One, two, three.", start_s=0.1),),
    ),
    Shot(duration_s=0.4, background="rocket"),
    Shot(duration_s=1.0, faces=(Face(identity="mirrored", width_px=150),), background="office"),
]
TABLES = ("videos", "scenes", "tracks", "clips", "kps", "prints", "faces")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A talk, a copy of it under another name, and a text that says it is a video."""
    folder = tmp_path_factory.mktemp("videos")
    render(SHOTS, folder / "talk.mp4", SMALL)
    (folder / "z_copy.mp4").write_bytes((folder / "talk.mp4").read_bytes())
    (folder / "text.mp4").write_text("no video")
    save_model(folder / "tiny", seed=0)
    return folder


@pytest.fixture(scope="module")
def config(videos: Path) -> CurateConfig:
    """Small clips, dlib, a tiny model, and rules that the short shots can pass."""
    return CurateConfig(
        faces=FaceConfig(backend="dlib"),
        identity=IdentityConfig(backend="dlib"),
        image_quality=ImageQualityConfig(model=None),
        crop=CropConfig(size=128),
        features=FeatureConfig(model=str(videos / "tiny")),
        keep=KeepRules(min_frames=20, min_face_side_px=60, min_speech_share=0),
    )


@pytest.fixture
def speech() -> SpeechConfig:
    """Whisper's smallest model where it is, else none."""
    model = ASSETS / "models/faster-whisper-tiny.en"
    if not model.is_dir():
        return SpeechConfig(backend="none")
    return SpeechConfig(backend="faster-whisper", model=str(model))


def run(videos: Path, folder: Path, config: CurateConfig) -> dict[str, Tally]:
    """Curate every video, and tell what was done and what was found done."""
    dataset = Dataset(folder)
    dataset.create()
    prepare_manifests(dataset)
    engine = open_engine(config.engine, Context(dataset))
    mark = fingerprint(config, used_weights(config))
    try:
        for batch in plan_batches(list_sources(str(videos)), engine, config, mark):
            curate_batch(batch, dataset, engine, config, mark, lambda row: None)
        return dict(engine.ledger.tallies())
    finally:
        engine.close()


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    """A table as a reader sees it, in a fixed order, without the time of writing."""
    answer = run_query(Dataset(folder), f"SELECT * FROM {table}")
    names = answer.columns
    made = [dict(zip(names, row, strict=True)) for row in answer.fetchall()]
    for row in made:
        row.pop("committed_at", None)
    return sorted(made, key=str)


def media(folder: Path) -> dict[str, bytes]:
    """Every clip, sound and feature file."""
    paths = [*folder.glob("media/*"), *folder.glob("features/*")]
    return {path.name: path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def curated(videos: Path, config: CurateConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set of the local engine."""
    folder = tmp_path_factory.mktemp("curated") / "set"
    tallies = run(videos, folder, config)
    done = {step: tally.run for step, tally in tallies.items() if tally.run}
    assert done == {
        "probe": 3,
        "scenes": 1,
        "faces": 1,
        "vad": 1,
        "crop": 2,
        "quality": 2,
        "fingerprints": 2,
        "identity": 2,
        "lips": 2,
        "sync": 2,
        "sound": 2,
        "features": 2,
    }, "the copy is probed and nothing else"
    return folder


def test_clips_are_the_shots_with_one_face(curated: Path, videos: Path) -> None:
    truth = Truth.read(videos / "talk.json")
    told = [(c["start_frame"], c["end_frame"], c["status"], c["reason"]) for c in rows_of(curated)]
    expected = [
        (s.start_frame, s.end_frame, "kept" if s.faces == 1 else "rejected") for s in truth.segments
    ]
    assert [row[:3] for row in told] == expected
    assert [row[3] for row in told] == [None, "no_face", None]


def rows_of(curated: Path) -> list[dict[str, Any]]:
    return sorted(rows(curated, "clips"), key=lambda clip: clip["start_frame"])


def test_a_kept_clip_has_everything(curated: Path) -> None:
    points = {row["clip_id"]: row["kps"] for row in rows(curated, "kps")}
    kept = [clip for clip in rows_of(curated) if clip["status"] == "kept"]
    for clip in kept:
        for column in ("media_path", "audio_path", "features_path"):
            assert (curated / clip[column]).stat().st_size > 1000
        assert len(points[clip["clip_id"]]) == clip["frames"]
        assert clip["source"].endswith("/talk.mp4")
        assert clip["det_score_min"] > 0.5
    assert kept[0]["speech_share"] > 0.3 > kept[1]["speech_share"]
    assert len(points) == 2
    assert len(media(curated)) == 6, "and nothing else is left"


def test_every_source_has_a_row(curated: Path, videos: Path) -> None:
    told = {Path(v["source"]).name: v for v in rows(curated, "videos")}
    assert {name: v["status"] for name, v in told.items()} == {
        "talk.mp4": "ok",
        "z_copy.mp4": "ok",
        "text.mp4": "rejected",
    }
    assert told["z_copy.mp4"]["duplicate_of"] == str(videos / "talk.mp4")
    assert told["talk.mp4"]["duplicate_of"] is None
    assert told["text.mp4"]["reason"] == "unreadable"


def test_a_finished_data_set_does_no_work(
    curated: Path, videos: Path, config: CurateConfig
) -> None:
    before = {path: path.stat().st_mtime_ns for path in curated.rglob("*.parquet")}
    assert run(videos, curated, config) == {}
    after = {path: path.stat().st_mtime_ns for path in curated.rglob("*.parquet")}
    assert {path for path in after if after[path] != before[path]} <= {
        path for path in after if path.name == "0-columns.parquet"
    }


AFTER_CROP = {"crop", "quality", "fingerprints", "identity", "lips", "sync", "sound", "features"}
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "thresholds": (
        {"keep": KeepRules(min_frames=1, min_face_side_px=1, min_speech_share=0)},
        set(),
    ),
    "thresholds that reject all": ({"keep": KeepRules(min_frames=9999)}, set()),
    "identity": ({"identity": IdentityConfig(backend="dlib", frames=1)}, {"identity"}),
    "quality": ({"quality": QualityConfig(every=2)}, {"quality"}),
    "speech": ({"sound": SoundConfig(vad_threshold=0.9)}, {"sound"}),
    "pauses": ({"vad": VadConfig(vad_threshold=0.9)}, {"vad"}),
    "no features": ({"features": FeatureConfig(model=None)}, set()),
    "scenes": ({"scenes": SceneConfig(detector="content")}, {"scenes"}),
    "size of the crop": ({"crop": CropConfig(size=64)}, AFTER_CROP),
    "face detector": (
        {"faces": FaceConfig(backend="dlib", every=2)},
        {"faces", *AFTER_CROP},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_setting_redoes_its_step_and_what_depends_on_it(
    name: str, curated: Path, videos: Path, config: CurateConfig, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", str(curated), str(tmp_path / "set")], check=True)
    change, redone = CHANGES[name]
    tallies = run(videos, tmp_path / "set", config.model_copy(update=change))
    assert {step for step, tally in tallies.items() if tally.run} == redone
    assert tallies["probe"].reused == 3
    for step in {"scenes", "faces"} - redone:
        assert tallies[step].reused == 1
    kept = [clip for clip in rows(tmp_path / "set", "clips") if clip["status"] == "kept"]
    assert len(kept) == (0 if "reject" in name else 2)
    assert len(rows(tmp_path / "set", "kps")) == 2, "of the newest batch alone"


def test_other_thresholds_are_tried_without_a_step_and_then_made_so_without_one(
    curated: Path, videos: Path, config: CurateConfig, tmp_path: Path
) -> None:
    """What `vexpress funnel` says of a threshold is what `curate` makes of it; neither works."""
    subprocess.run(["cp", "-r", str(curated), str(tmp_path / "set")], check=True)
    dataset = Dataset(tmp_path / "set")
    ledger = (tmp_path / "set/ledger.sqlite").read_bytes()
    (dull, sharp) = sorted(
        row[0] for row in run_query(dataset, "SELECT sharpness FROM kept").fetchall()
    )
    keep = config.keep.model_copy(update={"min_sharpness": (sharp + dull) / 2})
    tried = compare(dataset, {"tried": keep}).sums
    assert (tried["now"]["kept"].clips, tried["now"]["no_face"].clips) == (2, 1)
    assert (tried["tried"]["kept"].clips, tried["tried"]["blurred"].clips) == (1, 1)
    assert (tmp_path / "set/ledger.sqlite").read_bytes() == ledger, "no step was asked"
    tallies = run(videos, tmp_path / "set", config.model_copy(update={"keep": keep}))
    assert sum(tally.run for tally in tallies.values()) == 0
    assert compare(dataset, {"tried": keep}).sums["now"] == tried["tried"]
    lost = run_query(dataset, "SELECT detail, sharpness FROM rejected WHERE reason = 'blurred'")
    ((detail, sharpness),) = lost.fetchall()
    assert sharpness == dull and detail.startswith("expected a sharpness ≥ ")


def other_features(videos: Path, config: CurateConfig) -> CurateConfig:
    save_model(videos / "other", seed=1)
    return config.model_copy(update={"features": FeatureConfig(model=str(videos / "other"))})


def test_a_setting_changed_and_changed_back_leaves_the_files_of_the_first(
    curated: Path, videos: Path, config: CurateConfig, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", str(curated), str(tmp_path / "set")], check=True)
    run(videos, tmp_path / "set", other_features(videos, config))
    assert media(tmp_path / "set") != media(curated)
    assert run(videos, tmp_path / "set", config)["features"].run == 2
    assert media(tmp_path / "set") == media(curated)
    assert rows(tmp_path / "set", "clips") == rows(curated, "clips")


def test_a_run_with_other_settings_that_was_stopped_leaves_nothing_behind(
    curated: Path, videos: Path, config: CurateConfig, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", str(curated), str(tmp_path / "set")], check=True)
    dataset, other = Dataset(tmp_path / "set"), other_features(videos, config)
    engine = open_engine(other.engine, Context(dataset))

    def stop(row: Row) -> None:
        if isinstance(row, Clip) and row.features_path:
            raise KeyboardInterrupt

    (batch,) = plan_batches(list_sources(str(videos)), engine, other, "other")
    with pytest.raises(KeyboardInterrupt):
        curate_batch(batch, dataset, engine, other, "other", stop)
    engine.close()
    assert media(tmp_path / "set") != media(curated)
    run(videos, tmp_path / "set", config)
    assert media(tmp_path / "set") == media(curated)
    assert rows(tmp_path / "set", "clips") == rows(curated, "clips")


def test_a_source_whose_kept_file_is_gone_is_named(
    curated: Path, videos: Path, config: CurateConfig, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-r", str(curated), str(tmp_path / "set")], check=True)
    dataset = Dataset(tmp_path / "set")
    assert sources_with_missing_files(dataset) == []
    next((tmp_path / "set/features").iterdir()).unlink()
    assert sources_with_missing_files(dataset) == [str(videos / "talk.mp4")]
    none = config.model_copy(update={"keep": KeepRules(min_frames=9999)})
    run(videos, tmp_path / "set", none)
    next((tmp_path / "set/features").iterdir()).unlink()
    assert sources_with_missing_files(dataset) == [], "rejected clips may be deleted for room"


def test_other_weights_are_another_fingerprint(config: CurateConfig) -> None:
    mine, other = ([Weights("faces", ["f"], digest, "")] for digest in ("a", "b"))
    assert fingerprint(config, mine) != fingerprint(config, other)
    elsewhere = config.model_copy(
        update={"engine": EngineConfig(kind="ray", max_workers=9, batch_videos=1)}
    )
    assert fingerprint(config, mine) == fingerprint(elsewhere, mine)


@pytest.mark.assets  # hears words where Whisper lies; runs without it too
def test_ray_gives_the_same_rows_and_files(
    curated: Path,
    videos: Path,
    config: CurateConfig,
    speech: SpeechConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    subprocess.run(["cp", "-r", str(curated), str(here)], check=True)
    heard = config.model_copy(update={"speech": speech})
    done = run(videos, here, heard)
    assert [tally.run for step, tally in done.items() if step == "speech"] == (
        [1] if speech.model else []
    ), "the clip that is heard"
    ray = heard.model_copy(update={"engine": EngineConfig(kind="ray", max_workers=1)})
    tallies = run(videos, there, ray)
    assert (tallies["faces"].run, tallies["crop"].run) == (1, 2)
    for table in TABLES:
        assert rows(there, table) == rows(here, table), table
    said, expected_words = rows(there, "words"), rows(here, "words")
    assert [word.pop("score") for word in said] == pytest.approx(
        [word.pop("score") for word in expected_words], abs=1e-3
    )
    assert said == expected_words and bool(said) == (speech.model is not None)
    made, expected = media(there), media(here)
    assert made.keys() == expected.keys()
    for name in expected:
        if name.endswith(".safetensors"):  # as many threads as Ray allows: the last bits differ
            ours, theirs = (load(files[name])["global_embeds"] for files in (made, expected))
            np.testing.assert_allclose(ours, theirs, atol=1e-4)
        else:
            assert made[name] == expected[name], name


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB, enough for the empty data set."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_fills_up_stops_the_run_and_room_lets_it_go_on(
    small_disk: Path, curated: Path, videos: Path, config: CurateConfig
) -> None:
    lossless = config.model_copy(update={"crop": CropConfig(size=512, crf=0)})
    with pytest.raises(FullDisk, match=r"No space left on device\. Make room, then run again"):
        run(videos, small_disk / "set", lossless)
    assert rows(small_disk / "set", "videos") == []
    assert media(small_disk / "set") == {}
    subprocess.run(["mount", "-o", "remount,size=50m", str(small_disk)], check=True)
    tallies = run(videos, small_disk / "set", lossless)
    assert "faces" in tallies and tallies["faces"].run == 0, "what was done stays done"
    assert len(rows(small_disk / "set", "kps")) == 2


def test_a_disk_without_one_free_byte_stops_the_run_too(
    small_disk: Path, videos: Path, config: CurateConfig
) -> None:
    dataset = Dataset(small_disk / "set")
    dataset.create()
    prepare_manifests(dataset)
    engine = open_engine(config.engine, Context(dataset))
    with (small_disk / "fill").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    (batch,) = plan_batches(list_sources(str(videos / "text.mp4")), engine, config, "mark")
    with pytest.raises(FullDisk, match=r"full|No space left on device.*Make room, then run again"):
        curate_batch(batch, dataset, engine, config, "mark", lambda row: None)
    (small_disk / "fill").unlink()
    curate_batch(batch, dataset, engine, config, "mark", lambda row: None)
    engine.close()
    assert [video["reason"] for video in rows(small_disk / "set", "videos")] == ["unreadable"]
