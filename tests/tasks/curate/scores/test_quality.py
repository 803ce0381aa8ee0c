"""Each score of the picture moves with the damage it is made for, on real talking heads."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.helpers import real_clips
from tests.helpers.real_clips import RealClip
from vexpress.tasks.curate.scores.quality import QualityScoring

DAMAGE: dict[str, tuple[Callable[..., list[np.ndarray]], list[float], int]] = {
    "sharpness": (real_clips.blur, [0, 1, 2, 3, 5], -1),
    "noise": (real_clips.add_noise, [0, 2, 4, 8, 16], 1),
    "blockiness": (real_clips.low_rate, [24, 34, 40, 46, 51], 1),
    "face_luma": (real_clips.darken, [0, 0.2, 0.4, 0.6, 0.8], -1),
    "light_share": (real_clips.overexpose, [0.0, 0.5, 1.0, 2.0, 4.0], 1),
    "repeat_share": (real_clips.freeze, [0, 2, 4, 6, 8], 1),
    "border_share": (real_clips.letterbox, [0, 0.05, 0.1, 0.2, 0.3], 1),
    "overlay_share": (real_clips.title, [0, 0.5, 1, 2, 3], 1),
}
"""Score, damage, its amounts, and which way the score goes."""
FRAMES = 12
OVER_TIME = ("repeat_share", "overlay_share", "border_share")


@pytest.fixture(scope="module")
def clips(assets: Path) -> list[RealClip]:
    return real_clips.read_clips(assets, FRAMES)


def scores(clip: RealClip, frames: list[np.ndarray], folder: Path) -> dict[str, float]:
    """What the scorer says of the frames once they are encoded as a clip."""
    points = np.repeat(clip.points[None], len(frames), axis=0)
    look = QualityScoring(1, points, 25, clip.source_side)
    for number, image in enumerate(real_clips.decode(real_clips.encode(folder / "c.mp4", frames))):
        look.see(number, image)
    (update,) = look.answer()
    return update.changes  # type: ignore[attr-defined]


@pytest.mark.assets
@pytest.mark.parametrize("score", DAMAGE)
def test_a_score_follows_its_damage(score: str, clips: list[RealClip], tmp_path: Path) -> None:
    damage, amounts, way = DAMAGE[score]
    for whole in clips:
        count = FRAMES if score in OVER_TIME else FRAMES // 2
        clip = replace(whole, frames=whole.frames[:count], source=whole.source[:count])
        found = [scores(clip, damage(clip, a, tmp_path), tmp_path)[score] for a in amounts]
        order = spearmanr(amounts, found).statistic
        assert way * order > 0.899, f"{clip.name}: {found}"


def test_the_camera_is_followed_past_the_face() -> None:
    """Texture slides by 2 pixels a frame of 512 while a patch at the face stays where it is."""
    texture = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 255, (600, 700), np.uint8), (0, 0), 3
    )
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    points = np.array([[220, 200], [290, 200], [255, 240], [228, 280], [282, 280]], np.float32)
    for speed in (0, 2):
        look = QualityScoring(5, np.repeat(points[None], 26, axis=0), 25, 512)
        for number in range(26):
            picture = texture[40:552, speed * number : speed * number + 512].copy()
            picture[120:, 160:350] = texture[:392, :190]
            look.see(number, cv2.merge([picture] * 3))
        (update,) = look.answer()
        moved = update.changes["camera_motion"]  # type: ignore[attr-defined]
        assert moved == pytest.approx(speed * 25 / 512, abs=0.003)


def test_a_background_without_texture_has_no_camera_motion() -> None:
    look = QualityScoring(1, np.full((4, 5, 2), 200, np.float32), 25, 512)
    for number in range(4):
        look.see(number, np.full((512, 512, 3), 90, np.uint8))
    (update,) = look.answer()
    found = update.changes  # type: ignore[attr-defined]
    assert "camera_motion" not in found
    assert (found["repeat_share"], found["freeze_s"]) == (1.0, 3 / 25)
    assert found["face_luma"] == pytest.approx(90 / 255, abs=0.01)


def test_blocks_of_a_source_that_was_shrunk_are_not_guessed() -> None:
    look = QualityScoring(1, np.full((2, 5, 2), 200, np.float32), 25, 1000)
    for number in range(2):
        look.see(number, np.full((512, 512, 3), number, np.uint8))
    (update,) = look.answer()
    assert "blockiness" not in update.changes  # type: ignore[attr-defined]


@pytest.mark.assets
def test_nothing_is_found_on_clips_that_have_nothing(clips: list[RealClip], tmp_path: Path) -> None:
    for clip in clips:
        found = scores(clip, clip.frames, tmp_path)
        assert found["repeat_share"] == 0 and found["border_share"] == 0
        assert found["overlay_share"] < 0.01
        assert 0.15 < found["face_luma"] < 0.7 and found["light_share"] < 0.01
