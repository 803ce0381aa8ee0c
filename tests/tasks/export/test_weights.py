"""Trained weights in the published layout, with what belongs beside them."""

import shutil
from pathlib import Path

from vexpress.tasks.export.weights import export_weights
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
