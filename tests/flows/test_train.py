"""`vexpress train` from a data set to weights: gates, resuming, reports, refusals."""

import importlib.metadata
import json
import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model
from typer.testing import CliRunner, Result

from tests.helpers.small_clips import AUDIO_DIM
from tests.helpers.training_dataset import write_dataset
from vexpress.flows.cli.app import app
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.settings import Sampling
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.training.model import TrainingModel
from vexpress.training.settings import STAGE_NAMES
from vexpress.training.start_weights import saved_networks

STAGES = range(1, len(STAGE_NAMES) + 1)
STAGE = {"steps": 3, "learning_rate": 1e-3}
CONFIG: dict[str, Any] = {
    **{name: {**STAGE, "frames": 2} for name in STAGE_NAMES},
    "stage_1": {**STAGE, "batch": 2},
    "stage_2": {**STAGE, "frames": 3},
    "data": {"validation_share": 0.3, "validation_samples": 2},
    "engine": {"save_every": 2, "validate_every": 2},
    "gates": {"max_loss_ratio": 2.0, "min_audio_sensitivity": 0, "min_kps_sensitivity": 0},
}


class Trainer:
    """Runs the command on one data set and one run folder."""

    def __init__(self, material: Path, folder: Path) -> None:
        self.dataset = write_dataset(folder / "dataset")
        self.run_folder, self.folder, self.material = folder / "run", folder, material

    def __call__(self, *options: str, source: str = "", **changes: Any) -> Result:
        config = {**CONFIG, **changes}
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump(json.loads(json.dumps(config))))
        source = source or self.dataset.root
        arguments = ["train", source, "--out", str(self.run_folder), "--preset", "tiny"]
        weights = ["--start", str(self.material / "start"), "--vae", str(self.material / "vae")]
        return CliRunner().invoke(app, [*arguments, *weights, "--config", str(file), *options])


@pytest.fixture(scope="module")
def finished(material: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run through all stages."""
    trainer = Trainer(material, tmp_path_factory.mktemp("train"))
    result = trainer()
    assert result.exit_code == 0, result.output
    return trainer


def rows(dataset: Dataset, sql: str) -> list[tuple[Any, ...]]:
    return run_query(dataset, sql).fetchall()


def test_weights_come_out_in_the_published_layout(finished: Trainer) -> None:
    folder = finished.run_folder / "weights/v-express"
    names = ("audio_projection", "denoising_unet", "motion_module", "reference_net", "v_kps_guider")
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.bin" for name in names)
    exported = TrainingModel(saved_networks(folder)).state_dict()
    trained = finished.run_folder / f"{STAGE_NAMES[-1]}/weights/v-express"
    for name, tensor in TrainingModel(saved_networks(trained)).state_dict().items():
        assert torch.equal(tensor, exported[name]), name


def test_exported_weights_make_a_video(finished: Trainer, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    shutil.copytree(finished.material / "vae", beside / "sd-vae-ft-mse")
    sizes = {"hidden_size": AUDIO_DIM, "num_hidden_layers": 1, "num_attention_heads": 2}
    convolutions = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8}
    groups = {"num_conv_pos_embedding_groups": 2, "intermediate_size": 16}
    encoder = Wav2Vec2Model(Wav2Vec2Config(**sizes, **convolutions, **groups))
    encoder.save_pretrained(beside / "wav2vec2-base-960h")
    Wav2Vec2FeatureExtractor().save_pretrained(beside / "wav2vec2-base-960h")
    export = ["export", str(finished.run_folder), str(tmp_path / "weights")]
    options = ["--to", "vexpress-weights", "--beside", str(beside)]
    assert CliRunner().invoke(app, [*export, *options]).exit_code == 0

    pipeline = VExpressPipeline.from_published(tmp_path / "weights")
    trained = saved_networks(
        finished.run_folder / f"{STAGE_NAMES[-1]}/weights/v-express"
    ).denoising_unet
    for name, tensor in trained.state_dict().items():
        assert torch.equal(pipeline.denoising_unet.state_dict()[name], tensor), name
    points = np.full((4, 3, 2), 30.0) + np.array([[-9, -7], [9, -7], [0, 2]])
    portrait, sound = np.full((64, 64, 3), 128, np.uint8), np.zeros(2560, np.float32)
    video = pipeline(portrait, points, sound, 64, 64, Sampling(steps=1))
    assert video.frames.shape == (1, 3, 4, 64, 64) and video.frames.isfinite().all()


def test_metrics_and_gates_can_be_queried_from_the_data_set(finished: Trainer) -> None:
    loss = "SELECT stage, step FROM training WHERE kind = 'train' AND name = 'loss'"
    assert sorted(rows(finished.dataset, loss)) == [(n, s) for n in STAGES for s in (1, 2, 3)]
    gates = "SELECT stage, name, passed FROM training WHERE kind = 'gate' ORDER BY stage, name"
    assert rows(finished.dataset, gates) == [
        (1, "held_out_loss_ratio", True),
        *((n, name, True) for n in STAGES[1:] for name in
          ("audio_sensitivity", "held_out_loss_ratio", "kps_sensitivity")),
    ]  # fmt: skip


def test_the_run_is_a_row_of_the_data_set_with_its_snapshot(finished: Trainer) -> None:
    query = (
        "SELECT engine, config, versions, weights, clips_kept, units_run, units_reused, "
        "step_seconds, snapshot FROM runs WHERE kind = 'train'"
    )
    ((engine, config, versions, weights, clips, steps, reused, seconds, snapshot),) = rows(
        finished.dataset, query
    )
    counts = rows(finished.dataset, "SELECT counts FROM runs WHERE kind = 'train'")[0][0]
    assert json.loads(counts) == {"clips": 3, "steps": 3 * len(STAGES), "steps_done_before": 0}
    assert (engine, clips, steps, reused) == ("local", 3, 3 * len(STAGES), 0)
    assert json.loads(config)["stage_2"]["frames"] == 3 and "snapshot" in json.loads(config)
    assert json.loads(versions)["torch"] == importlib.metadata.version("torch")
    assert set(json.loads(seconds)) == set(STAGE_NAMES)
    start, trained = json.loads(weights)
    assert (start["name"], trained["name"]) == ("start", STAGE_NAMES[-1])
    assert len(trained["sha256"]) == 32 and trained["sha256"] != start["sha256"]
    listed = json.loads((Path(finished.dataset.root) / snapshot).read_text())["files"]
    assert any("training" in part["file"] and part["rows"] > 9 for part in listed)


def test_the_report_shows_curves_gates_and_pictures_and_needs_nothing_else(
    finished: Trainer,
) -> None:
    page = (finished.run_folder / "report.html").read_text()
    assert page.count("<polyline") == 2 * len(STAGES)
    assert page.count("data:image/png;base64,") == len(STAGES)
    assert "audio_sensitivity" in page and "68 landmarks" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_a_finished_run_does_nothing_again(finished: Trainer) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.run_folder.glob("stage_*/weights/**/*")}
    result = finished()
    assert result.exit_code == 0 and "stage 2 finished before" in result.output
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert rows(finished.dataset, "SELECT count(*) FROM runs") == [(1,)], "nothing done, no row"


def test_numbers_that_were_recorded_outlive_their_file(finished: Trainer) -> None:
    kept = finished.run_folder / "stage_1/metrics.jsonl"
    aside = kept.rename(kept.with_suffix(".aside"))
    result = finished()
    aside.rename(kept)
    assert result.exit_code == 0 and "stage 1 finished before" in result.output, result.output
    count = "SELECT count(*) FROM training WHERE stage = 1 AND kind = 'train' AND name = 'loss'"
    assert rows(finished.dataset, count) == [(3,)]


def test_other_settings_on_resume_are_refused_with_the_difference(finished: Trainer) -> None:
    result = finished(stage_2={**STAGE, "frames": 4})
    assert result.exit_code == 2
    assert "stage_2.frames: was 3, is 4" in result.output
    assert "learning_rate" not in result.output, "what is the same is not shown"


def test_a_failed_gate_stops_with_its_numbers_and_can_be_judged_anew(
    material: Path, tmp_path: Path
) -> None:
    trainer = Trainer(material, tmp_path)
    result = trainer("--stages", "1,2", gates={"max_loss_ratio": 0.001})
    assert result.exit_code == 2
    assert re.search(r"held_out_loss_ratio: [0-9.]+, expected < 0.001", result.output)
    around = trainer("--stages", "2", gates={"max_loss_ratio": 0.001})
    assert around.exit_code == 2 and "expected < 0.001" in around.output
    assert not (tmp_path / "run/stage_2").exists(), "nothing after the gate was started"
    metrics = (tmp_path / "run/stage_1/metrics.jsonl").read_text()
    again = trainer("--stages", "1")
    assert again.exit_code == 0 and "stage 1 finished before" in again.output, again.output
    assert (tmp_path / "run/stage_1/metrics.jsonl").read_text() == metrics
    past = trainer("--stages", "3")
    assert past.exit_code == 2 and "expected stage 2 finished" in past.output


def test_a_run_is_the_same_from_any_folder(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(material, tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({**CONFIG, "stage_1": {"steps": 1, "batch": 1}}))

    def train(folder: Path) -> Result:
        monkeypatch.chdir(folder)
        paths = {"--out": trainer.run_folder, "--config": file}
        paths |= {"--start": material / "start", "--vae": material / "vae"}
        options = [part for name, path in paths.items() for part in (name, os.path.relpath(path))]
        named = os.path.relpath(trainer.dataset.root)
        chosen = ["--preset", "tiny", "--stages", "1"]
        return CliRunner().invoke(app, ["train", named, *options, *chosen])

    result = train(tmp_path)
    assert result.exit_code == 0, result.output
    assert str(trainer.run_folder / "report.html") in result.output
    again = train(Path(trainer.dataset.root))
    assert again.exit_code == 0 and "stage 1 finished before" in again.output, again.output


def test_a_published_list_can_be_trained_on(material: Path, tmp_path: Path) -> None:
    trainer = Trainer(material, tmp_path)
    target = ["export", trainer.dataset.root, str(tmp_path / "list"), "--to", "vexpress-json"]
    assert CliRunner().invoke(app, target).exit_code == 0
    source = str(tmp_path / "list/list.json")
    result = trainer("--stages", "1", source=source)
    assert result.exit_code == 0 and "stage 1 trained" in result.output, result.output
    assert (tmp_path / "run/stage_1/metrics.parquet").is_file()
    refused = trainer("--stages", "1", "--where", "frames > 3", source=source)
    assert refused.exit_code == 2 and "expected a data set to filter" in refused.output


def test_a_stage_without_the_one_before_is_refused(material: Path, tmp_path: Path) -> None:
    trainer = Trainer(material, tmp_path)
    arguments = ["train", trainer.dataset.root, "--out", str(tmp_path / "run"), "--stages", "2"]
    vae = ["--preset", "tiny", "--vae", str(material / "vae"), "--set", "data.reference_margin=20"]
    result = CliRunner().invoke(app, [*arguments, *vae])
    assert result.exit_code == 2 and "expected stage 1 finished" in result.output
    gap = trainer("--stages", "1,3")
    assert gap.exit_code == 2 and "expected stage 2 finished" in gap.output
    assert not (tmp_path / "run").exists(), "weights to start from do not stand in for stage 2"


def test_clips_too_short_for_any_stage_are_refused_before_the_first(
    material: Path, tmp_path: Path
) -> None:
    trainer = Trainer(material, tmp_path)
    result = trainer("--stages", "1,2", data={**CONFIG["data"], "reference_margin": 38})
    assert result.exit_code == 2 and "stage 2: expected clips of at least 41" in result.output
    assert not (tmp_path / "run").exists(), "the same command with --where makes it"
    alone = trainer("--stages", "3", data={**CONFIG["data"], "reference_margin": 60})
    assert alone.exit_code == 2 and "stage 3: expected clips of at least 62" in alone.output


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("stage_2.stepz=5", "stage_2.stepz: no such setting. Did you mean `stage_2.steps`?"),
        ("stage_2.kps_drop=1.5", "expected values between 0 and 1"),
        ("stage_1.trains=[everything]", "stage_1.trains.0"),
        ("stage_2.number=3", "stage_2.number: expected 2, found 3"),
        ("nonsense", "expected group.key=value"),
    ],
)
def test_wrong_settings_are_named_before_anything_starts(
    material: Path, tmp_path: Path, option: str, said: str
) -> None:
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "run"), "--preset", "tiny"]
    result = CliRunner().invoke(app, [*arguments, "--set", option])
    assert result.exit_code == 2 and said in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_adam_in_8_bits_without_its_package_is_refused_before_anything_starts(
    tmp_path: Path,
) -> None:
    arguments = ["train", str(tmp_path), "--out", str(tmp_path / "run"), "--preset", "tiny"]
    wanted = ["--set", "stage_2.eight_bit_adam=true"]
    result = CliRunner().invoke(app, [*arguments, *wanted])
    assert result.exit_code == 2, result.output
    assert "stage_2.eight_bit_adam: expected the package bitsandbytes" in result.output
    assert not (tmp_path / "run").exists()
