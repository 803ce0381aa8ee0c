"""Shifts of the sound are followed on real talking heads, and another's sound is not believed.

The filters were fitted on these people among others: `benchmarks/sync.py` holds each out.
"""

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.real_clips import decode
from vexpress.faces.backends import load_face_detector
from vexpress.sync.lip_sound import PAD_S, RATE, at_25_fps, estimate_offset
from vexpress.sync.lips import LipReader, lip_shape
from vexpress.tasks.curate.sync import SURE
from vexpress.tasks.media.resample import read_sound

pytestmark = pytest.mark.assets
TALKS = {"3": (25.0, 0), "7": (25.0, 0), "talk_jocker": (30.0, 2)}
"""Samples of V-Express: frames a second, and what the estimate says of them as they are."""
SKIP_S, SECONDS = 1.5, 6
"""Sound of the same video is heard around the lips, whatever the shift."""
EVERY = 5
"""Faces are looked for in one frame of as many; between them the points move evenly."""
SHIFTS = range(-8, 9)


@pytest.fixture(scope="module")
def lips(assets: Path) -> dict[str, np.ndarray]:
    """Lip shape (150, 6) of each talk at 25 fps."""
    model = assets / "models/insightface/models/scrfd_500m"
    detector = load_face_detector("insightface", str(model), min_score=0.5, gpu=False)
    return {
        name: read_lips(assets / f"vexpress_samples/{name}/gt.mp4", fps, detector)
        for name, (fps, _) in TALKS.items()
    }


def read_lips(path: Path, fps: float, detector: object) -> np.ndarray:
    first, count = round(SKIP_S * fps), round(SECONDS * fps)
    pictures = decode(path, first + count)[first:]
    seen = np.arange(0, count, EVERY)
    found = [detector.detect(pictures[n])[0].points.reshape(-1) for n in seen]  # type: ignore[attr-defined]
    ways = [np.interp(np.arange(count), seen, way) for way in np.stack(found, axis=1)]
    points = np.stack(ways, axis=1).reshape(count, 5, 2)
    reader = LipReader()
    shape = lip_shape(
        np.stack([reader.landmarks(*seen) for seen in zip(pictures, points, strict=True)])
    )
    return at_25_fps(shape, fps)


def sound(assets: Path, name: str, late_frames: float = 0) -> np.ndarray:
    """The sound of a talk as `estimate_offset` wants it, made late."""
    path = assets / f"vexpress_samples/{name}/gt.mp4"
    start = SKIP_S - PAD_S - late_frames / 25
    return read_sound(str(path), start, round((SECONDS + 2 * PAD_S) * RATE), RATE)[:, 0]


@pytest.mark.parametrize("name", TALKS)
def test_a_shift_of_the_sound_is_followed(
    name: str, lips: dict[str, np.ndarray], assets: Path
) -> None:
    zero = estimate_offset(lips[name], sound(assets, name))
    assert zero.confidence is not None and zero.confidence >= SURE["lips"], zero
    assert zero.offset_frames == pytest.approx(TALKS[name][1], abs=1)
    for shift in SHIFTS:
        late = estimate_offset(lips[name], sound(assets, name, shift))
        assert late.confidence is not None and late.confidence >= SURE["lips"], late
        assert late.offset_frames == pytest.approx(zero.offset_frames + shift, abs=1)


def test_the_sound_of_another_is_not_believed(lips: dict[str, np.ndarray], assets: Path) -> None:
    for seen, heard in permutations(TALKS, 2):
        found = estimate_offset(lips[seen], sound(assets, heard))
        assert found.confidence is not None and found.confidence < SURE["lips"], (seen, heard)
