"""TransNetV2 finds hard cuts and dissolves where they are exactly known."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.scenes import CutDetector, SceneConfig, cuts_of, transnet_file

PICTURES = [
    cv2.resize(np.ascontiguousarray(picture[..., 2::-1]), (320, 240))
    for picture in (data.astronaut(), data.coffee(), data.rocket())
]
SIZE = (192, 144)
HARD, BEGIN, LENGTH = 40, 80, 12


def shown(picture: int, frame: int) -> np.ndarray:
    """A picture across which the camera moves."""
    left, top = frame * 9 // 10, frame * 7 // 10
    return PICTURES[picture][top : top + SIZE[1], left : left + SIZE[0]]


def film() -> list[np.ndarray]:
    """A hard cut at frame `HARD`, a dissolve of `LENGTH` frames from `BEGIN` on."""
    frames = [shown(frame // HARD, frame) for frame in range(BEGIN)]
    for frame in range(BEGIN, BEGIN + LENGTH):
        share = (frame - BEGIN + 1) / (LENGTH + 1)
        frames.append(cv2.addWeighted(shown(1, frame), 1 - share, shown(2, frame), share, 0))
    return frames + [shown(2, frame) for frame in range(BEGIN + LENGTH, 130)]


def test_a_hard_cut_and_a_dissolve_are_found(carried: Path) -> None:
    detector = CutDetector(SceneConfig(detector="transnet", fades=False), carried)
    for frame in film():
        detector.see(frame)
    hard, *gradual = detector.cuts()
    assert hard == HARD
    assert gradual and all(BEGIN - 2 <= cut <= BEGIN + LENGTH + 2 for cut in gradual), gradual


@pytest.mark.parametrize(
    ("changing", "expected"),
    [
        ([], []),
        ([9], [10]),
        ([9, 10, 11], [12]),
        (range(9, 19), [9, 19]),
        (range(0, 8), [8]),
        ([29], []),
    ],
)
def test_a_long_transition_is_a_scene_of_its_own(changing: list[int], expected: list[int]) -> None:
    flags = np.zeros(30, bool)
    flags[list(changing)] = True
    assert cuts_of(flags, 5) == expected


def test_without_the_weights_it_is_said_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="vexpress weights fetch transnetv2"):
        transnet_file(tmp_path)
    (tmp_path / "transnetv2").mkdir()
    (tmp_path / "transnetv2/transnetv2.onnx").write_bytes(b"")
    assert transnet_file(tmp_path).suffix == ".onnx", "one exported by hand is taken first"
