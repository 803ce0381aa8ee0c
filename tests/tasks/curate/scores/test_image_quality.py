"""An ONNX network scores the first, middle and last frame, prepared as it expects them."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.helpers.steps import candidates
from tests.tasks.conftest import Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.crop import CropClip, CropConfig
from vexpress.tasks.curate.keypoints import clip_points
from vexpress.tasks.curate.scores.image_quality import (
    ImageQualityConfig,
    ImageQualityScorer,
    open_network,
    prepared,
)
from vexpress.tasks.curate.scores.measure import MeasureClip, ScoreConfig
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context


def mean_network(path: Path, axes: tuple[int, ...] = (0, 1, 2, 3), gain: float = 1) -> Path:
    """A network whose score is the mean of all it is shown times `gain`: nothing is learnt."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "gain"], ["y"]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [len(axes)], axes),
        helper.make_tensor("gain", TensorProto.FLOAT, [], [gain]),
    ]
    shape = [1, 3, 224, 224]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "mean", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def test_a_picture_is_prepared_as_imagenet_networks_expect() -> None:
    colour = np.array([30, 120, 210], np.uint8)  # blue, green, red
    image = np.tile(colour, (512, 512, 1))
    shown = prepared(image)
    assert shown.shape == (3, 224, 224) and shown.dtype == np.float32
    expected = (colour[::-1] / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(shown[:, 0, 0], expected, atol=1e-6)
    image[:30] = 0  # 512 to 256 pixels, of which the outer 16 are not seen
    np.testing.assert_array_equal(prepared(image), shown)


def test_the_score_is_the_mean_over_three_frames(tmp_path: Path) -> None:
    file = mean_network(tmp_path / "mean.onnx", gain=10)
    scorer = ImageQualityScorer(ImageQualityConfig(model=str(file)), Context(Dataset(tmp_path)))
    pictures = [np.full((64, 64, 3), 20 * n, np.uint8) for n in range(10)]
    row: Any = type("Row", (), {"clip": type("Clip", (), {"frames": 10})})
    look = scorer.begin(row, None)  # type: ignore[arg-type]
    for number, picture in enumerate(pictures):
        look.see(number, picture)
    (update,) = look.answer()
    expected = 10 * np.mean([prepared(pictures[n]).mean() for n in (0, 5, 9)])
    found = update.changes["image_quality"]  # type: ignore[attr-defined]
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_chain_scores_where_weights_are_and_again_with_others(
    four_shots: Rendered, tmp_path: Path
) -> None:
    context = Context(Dataset(tmp_path))
    row = candidates(four_shots.detected_video, tmp_path, CropConfig(size=128))[0]
    (row,) = CropClip(CropConfig(size=128), context)(row)
    assert len(clip_points(row, 128).kps) == row.clip.frames
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def score(config: ImageQualityConfig) -> float | None:
        step = MeasureClip(ScoreConfig(image_quality=config), context)
        return step.run(row, ledger)[0].clip.image_quality  # type: ignore[attr-defined]

    assert score(ImageQualityConfig(model=None)) is None
    first = score(ImageQualityConfig(model=str(mean_network(tmp_path / "a/m.onnx"))))
    moved = score(ImageQualityConfig(model=str(mean_network(tmp_path / "b/m.onnx"))))
    assert first is not None and moved == first
    assert ledger.tallies()["image_quality"].run == 1, "where the file lies is no setting"
    other = score(ImageQualityConfig(model=str(mean_network(tmp_path / "c/m.onnx", gain=2))))
    assert other == pytest.approx(2 * first, rel=1e-5)
    tallies = ledger.tallies()
    assert (tallies["image_quality"].run, tallies["quality"].run) == (2, 1)
    ledger.close()


def test_the_default_file_is_taken_where_it_is_and_its_absence_is_said(tmp_path: Path) -> None:
    config, note = ImageQualityScorer.resolve(ImageQualityConfig(), tmp_path)
    assert config.model is None and "iqa/hyperiqa.onnx is not under the weights" in note
    file = mean_network(tmp_path / "iqa/hyperiqa.onnx")
    config, _ = ImageQualityScorer.resolve(ImageQualityConfig(), tmp_path)
    assert config.model == str(file)
    with pytest.raises(ConfigError, match=r"expected an ONNX file at .*missing\.onnx"):
        ImageQualityScorer.resolve(ImageQualityConfig(model="missing.onnx"), tmp_path)


def test_a_file_that_is_no_such_network_is_refused_with_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ConfigError, match="expected an ONNX file that scores float32"):
        open_network(tmp_path / "text.onnx", gpu=False)
    with pytest.raises(ConfigError, match=r"expected one number a picture, .* gives 3"):
        open_network(mean_network(tmp_path / "three.onnx", axes=(2, 3)), gpu=False)
