"""A print tells what moves and what is heard, whatever was done to picture and sound."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.steps import candidates
from tests.tasks.conftest import Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.fingerprint import ClipFingerprint
from vexpress.tasks.curate.crop import CropClip, CropConfig
from vexpress.tasks.curate.scores.fingerprints import (
    RATE_HZ,
    SOUND_HZ,
    map_to_square,
    picture_codes,
    picture_values,
    sound_codes,
    sound_values,
)
from vexpress.tasks.curate.scores.measure import MeasureClip, ScoreConfig
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context

FACE = np.array([[200, 220], [312, 220], [256, 290], [215, 350], [297, 350]], np.float32)


def pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """A room, and in it a face that moves and a mouth that opens; BGR uint8 (512, 512, 3)."""
    random = np.random.default_rng(seed)
    room = cv2.resize(random.integers(60, 200, (9, 9, 3), np.uint8), (512, 512))
    beats = random.uniform(-1, 1, (count // 4 + 2, 3))
    way = np.stack([np.interp(np.arange(count) / 4, range(len(beats)), b) for b in beats.T])
    made = []
    for x, y, opening in way.T:
        image = room.copy()
        centre = (int(256 + 12 * x), int(270 + 8 * y))
        cv2.ellipse(image, centre, (110, 150), 0, 0, 360, (150, 180, 220), -1)
        mouth = (centre[0], centre[1] + 80)
        cv2.ellipse(image, mouth, (45, int(14 + 12 * opening)), 0, 0, 360, (30, 20, 120), -1)
        cv2.circle(image, (centre[0] - 50, centre[1] - 50), 14, (40, 30, 20), -1)
        made.append(image)
    return made


def series(images: list[np.ndarray], points: np.ndarray) -> np.ndarray:
    square = map_to_square(np.repeat(points[None], len(images), axis=0))
    return np.stack([picture_values(image, square) for image in images])


def shared(a: np.ndarray, b: np.ndarray) -> int:
    return len(np.intersect1d(a, b))


def test_scale_margin_and_colour_leave_most_codes() -> None:
    images = pictures(75)
    codes = picture_codes(series(images, FACE))
    assert len(codes) > 30
    small = [cv2.resize(image[40:480, 30:490], (230, 220)) for image in images]
    moved = (FACE - [30, 40]) / 2
    warm = [np.clip(image * [0.7, 1.0, 1.2] + 8, 0, 255).astype(np.uint8) for image in images]
    assert shared(codes, picture_codes(series(small, moved))) > len(codes) / 2
    assert shared(codes, picture_codes(series(warm, FACE))) > len(codes) / 2


def test_a_mirrored_picture_has_the_same_codes() -> None:
    images = pictures(75)
    mirrored = [np.ascontiguousarray(image[:, ::-1]) for image in images]
    points = (FACE * [-1, 1] + [511, 0])[[1, 0, 2, 4, 3]]
    codes, other = (picture_codes(series(*each)) for each in ((images, FACE), (mirrored, points)))
    assert shared(codes, other) > 0.8 * len(codes)


def test_another_talk_in_the_same_room_has_no_codes_in_common() -> None:
    room = pictures(1)[0]
    face = (slice(80, 440), slice(120, 400))
    talks = []
    for seed in (1, 2):
        talk = [room.copy() for _ in range(75)]
        for image, moving in zip(talk, pictures(75, seed), strict=True):
            image[face] = moving[face]
        talks.append(picture_codes(series(talk, FACE)))
    assert min(map(len, talks)) > 30 and shared(*talks) <= 1


def test_what_does_not_move_or_sound_has_no_code() -> None:
    still = series(pictures(1) * 60, FACE)
    assert len(picture_codes(still)) == 0
    assert len(sound_codes(sound_values(np.zeros(5 * SOUND_HZ, np.float32), 60))) == 0
    assert len(picture_codes(still[:10])) == 0, "shorter than a window"


def test_sound_is_told_by_its_levels_whatever_its_volume() -> None:
    random = np.random.default_rng(3)
    syllables = np.repeat(random.uniform(0, 1, 48), SOUND_HZ // 8)
    sound = (random.normal(0, 0.1, len(syllables)) * syllables).astype(np.float32)
    levels = sound_values(sound, int(6 * RATE_HZ))
    assert levels.shape == (75, 12)
    quiet = sound_values(sound * 0.3, 75)
    np.testing.assert_allclose(np.diff(quiet, axis=0), np.diff(levels, axis=0), atol=0.1)
    assert shared(sound_codes(levels), sound_codes(quiet)) > 0.9 * len(sound_codes(levels))


def test_every_measured_clip_gets_a_print(four_shots: Rendered, tmp_path: Path) -> None:
    row = candidates(four_shots.detected_video, tmp_path, CropConfig(size=128))[0]
    context = Context(Dataset(tmp_path))
    (cropped,) = CropClip(CropConfig(size=128), context)(row)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    answers = [MeasureClip(ScoreConfig(), context).run(cropped, ledger) for _ in range(2)]
    ledger.close()
    first, again = (next(a for a in rows if isinstance(a, ClipFingerprint)) for rows in answers)
    assert first.picture.shape == (round(row.clip.frames / 2), 35)
    assert first.sound.shape == (len(first.picture), 12)
    assert len(first.codes) > 20
    for name in ("picture", "sound", "codes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.sound.max() - first.sound.min() == pytest.approx(4500, abs=100), "speech and none"
