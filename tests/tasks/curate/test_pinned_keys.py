"""Ledger keys and the fingerprint of a run do not change by accident: nothing is done again.

The values below were computed before steps and scorers owned their weights, for the same
made-up rows, settings and weights. A key may change only together with the `VERSION` of its
step or scorer, the fingerprint also with a new step, scorer or setting.
"""

import hashlib
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faster_whisper.utils import get_assets_path

from tests.helpers.made_up_recogniser import write_recogniser
from tests.helpers.rows import clip
from vexpress.faces.backends import BACKENDS
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.schemas.video import Video
from vexpress.tasks.curate.chain import components, fingerprint, stages, stamp, used_weights
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.curate.features import FeatureConfig
from vexpress.tasks.curate.probe import ProbeVideo
from vexpress.tasks.curate.scenes import SceneConfig
from vexpress.tasks.curate.scores.identity import IdentityConfig
from vexpress.tasks.curate.scores.image_quality import ImageQualityConfig
from vexpress.tasks.curate.scores.quality import QualityConfig
from vexpress.tasks.curate.speech.transcribe import SpeechConfig
from vexpress.tasks.curate.sync import SyncConfig
from vexpress.tasks.engine.component import make_key
from vexpress.tasks.engine.shared_decode import SharedDecode
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate, DetectedVideo, Source
from vexpress.tasks.engine.weights import file_digest
from vexpress.tasks.evaluate.measure import EvaluateVideo, MeasureConfig

KEPT = Path(__file__).parents[2] / "kept_data_set"
VIDEO = Video(video_id="v", source="/v.mp4", status="ok", content_hash="hash", audio_streams=1)
FILES = {
    "packs/scrfd/det.onnx": b"a detector",
    "packs/scrfd/points.onnx": b"landmarks",
    "iqa.onnx": b"a network",
    "syncnet.model": b"SyncNet",
    "wav2vec2/config.json": b"{}",
    "wav2vec2/preprocessor_config.json": b"{ }",
    "wav2vec2/model.safetensors": b"a network of sound",
    "whisper/config.json": b"{}",
    "whisper/model.bin": b"Whisper",
    "whisper/tokenizer.json": b"[]",
    "align/config.json": b"{}",
    "align/preprocessor_config.json": b"{}",
    "align/vocab.json": b"[]",
    "align/pytorch_model.bin": b"CTC",
}
WITH_MODELS = CurateConfig(
    scenes=SceneConfig(detector="content", threshold=30),
    faces=FaceConfig(backend="insightface", model="packs/scrfd", every=2),
    quality=QualityConfig(every=4),
    image_quality=ImageQualityConfig(model="iqa.onnx"),
    identity=IdentityConfig(backend="arcface", model="packs/arcface", frames=2),
    sync=SyncConfig(backend="syncnet", model="syncnet.model", repair=False),
    speech=SpeechConfig(
        backend="whisperx", model="whisper", language="en", align=("en=align",), python="python"
    ),
    features=FeatureConfig(model="wav2vec2"),
)
WITHOUT = CurateConfig(
    faces=FaceConfig(backend="dlib"),
    image_quality=ImageQualityConfig(model=None),
    identity=IdentityConfig(backend="dlib"),
    sync=SyncConfig(backend="lips"),
    speech=SpeechConfig(backend="none"),
    features=FeatureConfig(model=None),
)
FINGERPRINTS = {"with models": "ca497f3b48c363b3", "without": "112bda8643da3984"}
EVALUATED = {
    "with models": "6b8f632558894008781faf958783c8bd",
    "without": "1012800999e8f4e3af767408120c047e",
}
COMMON = {
    "probe": "c52001f986de77de4669337d39423b3c",
    "crop": "06764918280def08d46d36c4e47105af",
    "fingerprints": "342626ef75abce3609ae172b3a223ed5",
    "sync": "508916753b2076e9e0f7a54a4a2208d0",
    "sound": "c5befd1c3ad8fc5eb40ce9ad6bdb883e",
}
KEYS = {
    "with models": {
        **COMMON,
        "scenes": "8dcef966a3ab58434de710b00b3530b6",
        "faces": "4d406524754b553fcee7960ea91d4005",
        "quality": "1e06202c4a2eeb4deae8a4d0efef7cc6",
        "image_quality": "ca81946cc2252d7df4ebac9e7db65250",
        "identity": "54e45edb1461cbbb132b4b72ff15cabc",
        "syncnet": "8f25d8d3ce575884040ad72c00c3d09b",
        "speech": "b417216c1f7ac76894f48b14ed8cff07",
        "features": "8d2055b0850601197147725824a6ebd1",
    },
    "without": {
        **COMMON,
        "scenes": "397129e4165cca579b16e97330fa700c",
        "faces": "5f3a766625f0281d28810dcec6a2d3c2",
        "quality": "b0f0dd5c5d76c2b6305ac1e5257fd199",
        "identity": "6f27dcb99d1711346ccd0d5f0a616616",
        "lips": "04597d85a9c9b8ee11caf9cd80b24299",
    },
}
NON_COMMERCIAL = "insightface model packs: non-commercial research only"
LANDMARKS = "face-recognition-models: CC0; the landmark model was trained on iBUG 300-W"
USED = {
    "with models": {
        "faces insightface": ("857c15b78a5a568f7c7dd00784831607", NON_COMMERCIAL),
        "identity arcface": ("31b7b4e3f52ec5283b3132c19f318b9e", NON_COMMERCIAL),
        "image quality": ("4983c35dce2bc3ce71e689cbd4a79672", "as given with the file"),
        "speech whisperx": (
            "a7f17a49933f44278374134897bd8d60",
            "see the model's card (Whisper: MIT)",
        ),
        "features wav2vec2": (
            "2901f992813ad4d3c4b14e256744bda8",
            "see the model's card (wav2vec2-base-960h: Apache-2.0)",
        ),
        "sync SyncNet": (
            "c180c319bfce3a0e33c5d4604365b516",
            "SyncNet (syncnet_python): MIT; trained on BBC broadcasts",
        ),
    },
    "without": {
        "faces dlib": ("679027ed36f0ef3a864f489ce870ea21", LANDMARKS),
        "identity dlib": (
            "24a579ecc5df05eba14eb59c7221462f",
            "dlib_face_recognition_resnet_model_v1: CC0, in face-recognition-models",
        ),
        "sync lip landmarks": ("679027ed36f0ef3a864f489ce870ea21", LANDMARKS),
    },
}


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Made-up weights in the working folder: settings name them by the same path everywhere."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    write_recogniser(tmp_path / "packs/arcface")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def candidate(**series: np.ndarray) -> Candidate:
    """A clip of four frames in the making, with sound."""
    points = np.arange(40, dtype=np.float32).reshape(4, 5, 2)
    changes = {"audio_path": "media/c1.wav", "audio_hash": "sound", "sync_repaired_frames": 2.0}
    return Candidate(
        video=VIDEO,
        clip=clip(**changes),
        times=np.arange(5) / 25,
        points=points,
        detected=np.ones(4, bool),
        series={name: values.astype(np.float32) for name, values in series.items()},
    )


def step_keys(config: CurateConfig, folder: Path) -> dict[str, str]:
    """The key of each step and scorer whose answers the ledger keeps, by name."""
    context = Context(Dataset(folder))
    seen = candidate(lips=np.arange(24), syncnet=np.arange(31))
    rows = {
        Source: Source(uri="/v.mp4", size_bytes=7, modified="now", licence="CC0"),
        Video: VIDEO,
        DetectedVideo: DetectedVideo.model_construct(video=VIDEO),
        Candidate: seen,
    }
    found = {}
    for kind, settings in [
        (ProbeVideo, config.probe),
        *(step for stage in stages(config) for step in stage.steps),
    ]:
        step: Any = kind(settings, context)
        row = rows.get(step.TAKES)
        if isinstance(step, SharedDecode):
            wanted = [scorer for scorer in step.scorers if scorer.wanted(row)]
            found |= {scorer.NAME: scorer.key(row) for scorer in wanted}
        elif step.IN_LEDGER and step.skip(row) is None:
            found[step.NAME] = step.key(row)
    return found


@pytest.mark.parametrize(("name", "config"), [("with models", WITH_MODELS), ("without", WITHOUT)])
def test_keys_are_what_they_were(weights: Path, name: str, config: CurateConfig) -> None:
    found = step_keys(config, weights)
    # Silero comes with a package: its digest changes with the package's version.
    silero = file_digest(sorted(Path(get_assets_path()).glob("silero*.onnx")))
    assert found.pop("vad") == make_key("listen", 1, '{"vad_threshold":0.5}', silero, "hash")
    assert found == KEYS[name]


@pytest.mark.parametrize(("name", "config"), [("with models", WITH_MODELS), ("without", WITHOUT)])
def test_the_weights_of_a_run_and_its_fingerprint_are_what_they_were(
    weights: Path, name: str, config: CurateConfig
) -> None:
    used = used_weights(config)
    assert {w.name: (w.sha256, w.licence) for w in used} == USED[name]
    assert fingerprint(config, used) == FINGERPRINTS[name]
    (faces,) = [w for w in used if w.name.startswith("faces")]
    assert faces.files == [
        str(file) for file in BACKENDS[config.faces.backend].files(config.faces.model)
    ]


@pytest.mark.parametrize(("name", "config"), [("with models", WITH_MODELS), ("without", WITHOUT)])
def test_keys_of_evaluations_are_what_they_were(
    weights: Path, name: str, config: CurateConfig
) -> None:
    settings = MeasureConfig(
        faces=config.faces, identity=config.identity.backend, identity_model=config.identity.model
    )
    step = EvaluateVideo(settings, Context(Dataset(weights)))
    assert step.key_of("r", "t") == EVALUATED[name]


def test_the_stamp_of_a_source_is_the_one_that_version_0_1_made() -> None:
    (row,) = run_query(
        Dataset(KEPT / "dataset"), "SELECT config FROM runs WHERE kind = 'curate'"
    ).fetchall()
    config = CurateConfig.model_validate_json(row[0])
    # The place of this model is in fingerprints; its files are read where they lie now.
    here = config.model_copy(
        update={"features": FeatureConfig(model=str(KEPT / "weights/wav2vec2-base-960h"))}
    )
    mark = fingerprint(config, used_weights(here))
    etag = hashlib.md5((KEPT / "talk.mp4").read_bytes()).hexdigest()
    source = Source(
        uri="s3://bucket/videos/talk.mp4",
        size_bytes=(KEPT / "talk.mp4").stat().st_size,
        modified=f'"{etag}"',
        licence="CC0-1.0",
    )
    ledger = sqlite3.connect(f"file:{KEPT}/dataset/ledger.sqlite?immutable=1", uri=True)
    known = ledger.execute("SELECT stamp FROM sources WHERE uri = ?", (source.uri,)).fetchone()
    assert stamp(source, mark) == known[0]


def test_where_models_lie_is_in_no_key(weights: Path, tmp_path: Path) -> None:
    (weights / "moved").mkdir()
    for name in ("packs", "iqa.onnx", "syncnet.model", "wav2vec2", "whisper", "align"):
        (weights / name).rename(weights / "moved" / name)
    moved = WITH_MODELS.model_copy(
        update={
            "faces": WITH_MODELS.faces.model_copy(update={"model": "moved/packs/scrfd"}),
            "image_quality": ImageQualityConfig(model="moved/iqa.onnx"),
            "identity": WITH_MODELS.identity.model_copy(update={"model": "moved/packs/arcface"}),
            "sync": WITH_MODELS.sync.model_copy(update={"model": "moved/syncnet.model"}),
            "speech": WITH_MODELS.speech.model_copy(
                update={"model": "moved/whisper", "align": ("en=moved/align",), "python": "other"}
            ),
            "features": FeatureConfig(model="moved/wav2vec2"),
        }
    )
    found = step_keys(moved, weights)
    assert {name: found[name] for name in KEYS["with models"]} == KEYS["with models"]
    (weights / "moved/packs/scrfd/det.onnx").write_bytes(b"another detector")
    assert step_keys(moved, weights)["faces"] != KEYS["with models"]["faces"]


def test_a_new_step_or_scorer_says_itself_which_weights_it_uses() -> None:
    """What the chain asks every one of its parts: the names are what settings and users know."""
    groups = [component.GROUP for component, _ in components(WITHOUT) if component.GROUP]
    assert sorted(groups) == sorted(set(groups)), "no group is resolved twice"
    assert set(groups) <= set(CurateConfig.model_fields)
    for component, _ in components(WITHOUT):
        if component.GROUP:
            settings = type(getattr(WITHOUT, component.GROUP))
            assert set(settings.model_fields) >= component.PLACES, component.NAME
