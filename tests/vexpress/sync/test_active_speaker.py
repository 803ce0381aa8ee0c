"""LR-ASD gives the published numbers, in parts as in one piece."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.golden import REFERENCE
from vexpress.errors import CheckpointError
from vexpress.sync.active_speaker import (
    AT_ONCE,
    ActiveSpeaker,
    load_active_speaker,
    mouth_picture,
    see_in_parts,
    speaking_scores,
    steady,
)

GOLDEN = REFERENCE / "goldens_lr_asd/lr_asd.npz"


@pytest.mark.skipif(not GOLDEN.is_file(), reason=f"no golden at {GOLDEN}")
def test_every_part_gives_the_published_numbers(assets: Path) -> None:
    network = load_active_speaker(assets / "models/lr_asd/pretrain_AVA.model")
    golden = np.load(GOLDEN)
    with torch.inference_mode():
        seen = network.see(torch.from_numpy(golden["faces"]))
        heard = network.hear(torch.from_numpy(golden["mfcc"]))
        found = {
            "visual": seen,
            "audio": heard,
            "fused": network.fuse(seen, heard)[0],
            "score": network.score(seen, heard)[0],
        }
    for name, numbers in found.items():
        np.testing.assert_allclose(numbers.numpy(), golden[name], atol=1e-4, err_msg=name)


def test_a_long_clip_in_parts_is_that_in_one_piece() -> None:
    torch.manual_seed(0)
    network = ActiveSpeaker().eval()
    random = np.random.default_rng(0)
    faces = random.integers(0, 256, (AT_ONCE + 20, 16, 16), np.uint8)  # small, to be quick
    sound = random.normal(0, 0.1, len(faces) * 640)
    with torch.inference_mode():
        at_once = network.see(torch.from_numpy(faces)[None])
        parts = see_in_parts(network, torch.from_numpy(faces))
    torch.testing.assert_close(parts, at_once, atol=1e-4, rtol=1e-4)
    assert speaking_scores(network, faces, sound).shape == (len(faces),)
    assert len(speaking_scores(network, faces[:0], sound)) == 0
    assert len(speaking_scores(network, faces[:9], sound[:100])) == 9


def test_the_mouth_is_in_the_middle_of_what_is_seen() -> None:
    picture = np.full((400, 400, 3), 40, np.uint8)
    points = np.array([[170, 150], [230, 150], [200, 190], [175, 220], [225, 220]], np.float32)
    picture[205:235, 180:220] = 255
    rows, columns = np.nonzero(mouth_picture(picture, points) > 200)
    assert 45 < columns.mean() < 67 and 56 < rows.mean() < 100
    still = np.repeat(points[None], 20, axis=0)
    still[7] += 30
    np.testing.assert_array_equal(steady(still), np.repeat(points[None], 20, axis=0))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    torch.save({"some": torch.zeros(1)}, tmp_path / "other.model")
    with pytest.raises(CheckpointError, match="missing"):
        load_active_speaker(tmp_path / "other.model")
