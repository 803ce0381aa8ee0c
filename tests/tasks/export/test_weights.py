"""Trained weights in the published layout, with what belongs beside them."""

import shutil
from pathlib import Path

import pytest
import torch

from vexpress.schemas.errors import ConfigError
from vexpress.tasks.export.weights import export_weights
from vexpress.training.start_weights import saved_networks, write_networks
from vexpress.weights.catalogue import locate


def test_what_lies_in_model_ckpts_is_copied_too(material: Path, tmp_path: Path) -> None:
    stage, published = tmp_path / "run/stage_3", tmp_path / "published"
    shutil.copytree(material / "start", stage / "weights")
    (stage / "done.json").write_text("{}")
    for name in ("sd-vae-ft-mse", "wav2vec2-base-960h"):
        (published / "model_ckpts" / name).mkdir(parents=True)
        (published / "model_ckpts" / name / "config.json").write_text("{}")
    out = export_weights(tmp_path / "run", tmp_path / "out", beside=published)
    assert locate(out).vae == tmp_path / "out/sd-vae-ft-mse"


def test_the_last_finished_stage_is_exported_unless_another_is_asked_for(
    material: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for number in (1, 2, 10):
        shutil.copytree(material / "start", run / f"stage_{number}/weights")
    for number in (2, 10):
        (run / f"stage_{number}/done.json").write_text("{}")
    weights = saved_networks(run / "stage_10/weights/v-express")
    torch.nn.init.ones_(weights.audio_projection.proj_out.bias)
    write_networks(run / "stage_10/weights", weights)
    exported = [export_weights(run, tmp_path / f"out{stage}", stage) for stage in (None, 2)]
    ones = [saved_networks(out).audio_projection.proj_out.bias.eq(1).all() for out in exported]
    assert ones == [True, False]
    with pytest.raises(ConfigError, match="expected a finished stage 1, found none"):
        export_weights(run, tmp_path / "out", 1)
