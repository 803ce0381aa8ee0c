"""Files as people have them: what is said of them, and what the chain makes of them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers.odd_videos import tone, write
from tests.helpers.steps import candidates, look, probed
from vexpress.schemas.video import Video
from vexpress.tasks.curate.clips import divide
from vexpress.tasks.curate.config import CurateConfig, load_config
from vexpress.tasks.curate.probe import ProbeConfig, ProbeSettings
from vexpress.tasks.media.frames import (
    clip_identity,
    picture_identity,
    sound_identity,
)
from vexpress.tasks.media.resample import read_sound

SHARED = Path(__file__).parents[4] / "shared"
FIELD = Path(os.environ.get("VEXPRESS_FIELD", SHARED / "field"))
BOX = (30.0, 30.0, 90.0, 90.0)
ORDINARY = Video(video_id="v", source="/v.mp4", status="ok", content_hash="h", sound_track=0)


def test_a_joined_recording_is_cut_at_the_joint_with_its_own_sound(tmp_path: Path) -> None:
    parts = [
        write(tmp_path / "a.ts", range(50), [tone(2.0, hertz=500)]),
        write(tmp_path / "b.ts", range(50, 125), [tone(3.0, hertz=1500)]),
    ]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    video = probed(path)
    assert (video.status, video.clock_jumps, video.frames) == ("ok", 1, 125)
    assert video.duration_s == pytest.approx(5.0, abs=0.01)
    detected = look(video, BOX)
    times = detected.cuts.times
    np.testing.assert_allclose(times, np.arange(126) / 25, atol=2e-3)
    for start, hertz in ((0.2, 500), (1.5, 500), (2.0, 1500), (4.0, 1500)):
        heard = read_sound(video, (video.start_s or 0) + start, 4800, 16_000)[:, 0]
        spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
        assert spectrum.argmax() * 16_000 / len(heard) == pytest.approx(hertz, abs=10), start


def test_a_still_frame_is_a_candidate_of_its_own(tmp_path: Path) -> None:
    times = [*(n / 25 for n in range(50)), *(22 + n / 25 for n in range(50))]
    video = probed(write(tmp_path / "v.mp4", range(100), times=times))
    found = candidates(look(video, BOX), tmp_path)
    spans = [(c.clip.start_frame, c.clip.end_frame, c.clip.reason) for c in found]
    assert spans == [(0, 49, None), (49, 50, "frozen"), (50, 100, None)]
    assert found[1].clip.status == "rejected" and not found[1].clip.is_error
    assert "one picture shown for 20.0 s" in str(found[1].clip.detail)


def test_no_part_is_longer_than_asked_for_whatever_the_frames() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        steps = random.choice([0.04, 0.3, 1.7, 12.0], size=60, p=[0.7, 0.15, 0.1, 0.05])
        times = np.concatenate([[0], np.cumsum(steps)])
        parts = divide(times, 5.0)
        assert parts[0][0] == 0 and parts[-1][1] == 60
        assert all(a < b for a, b in parts)
        long = [(a, b) for a, b in parts if times[b] - times[a] > 5 + 1e-6]
        assert all(b == a + 1 for a, b in long)


def test_keys_of_ordinary_videos_are_those_of_version_0_1() -> None:
    """A new column or setting must compute nothing again."""
    untagged = ORDINARY.model_copy(update={"field_order": "progressive", "color_range": "tv"})
    for video in (ORDINARY, untagged):
        assert clip_identity(video) == picture_identity(video) == sound_identity(video) == "h"
    plain = ProbeConfig().model_dump_json()
    assert ProbeSettings().model_dump_json() == plain
    assert "track" not in CurateConfig().sound.model_dump()
    assert load_config(settings=["sound.track=1"]).sound.model_dump()["track"] == 1


@pytest.mark.parametrize(
    ("change", "picture", "sound"),
    [
        ({"mirrored": True}, True, False),
        ({"interlaced": True}, True, False),
        ({"color_transfer": "arib-std-b67", "color_primaries": "bt2020"}, True, False),
        ({"clock_jumps": 1}, True, True),
        ({"sound_track": 1}, False, True),
        ({"sound_inverted": True}, False, True),
    ],
)
def test_what_is_read_otherwise_has_other_keys(
    change: dict[str, Any], picture: bool, sound: bool
) -> None:
    video = ORDINARY.model_copy(update=change)
    assert clip_identity(video) != "h", "the clip has other bytes"
    assert (picture_identity(video) != "h", sound_identity(video) != "h") == (picture, sound)


def test_tags_of_colour_change_no_id() -> None:
    """Version 0.1 wrote clips without them; their pictures are the same."""
    video = ORDINARY.model_copy(update={"color_matrix": "bt709", "color_primaries": "bt709"})
    assert clip_identity(video) == "h"


@pytest.mark.skipif(not FIELD.is_dir(), reason="the folder `field` with such files is not here")
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("clock_jumps_back.ts", {"clock_jumps": 1, "frames": 250}),
        ("clock_jumps_back_short_then_long.ts", {"clock_jumps": 1, "frames": 250}),
        ("clock_jumps_ahead.ts", {"clock_jumps": 1, "frames": 250}),
        ("one_frame_for_long_no_sound.mp4", {"clock_jumps": 0, "frames": 100}),
        ("second_track_is_default.mkv", {"sound_track": 1, "sound_language": "eng"}),
        ("inverted_stereo.mkv", {"sound_inverted": True}),
        ("mirrored.mp4", {"mirrored": True, "rotation": 0}),
        ("hlg_bt2020.mov", {"color_transfer": "arib-std-b67", "color_primaries": "bt2020"}),
        ("interlaced.mpg", {"interlaced": True, "field_order": "tt", "width": 768}),
    ],
)
def test_files_of_people_are_described_as_they_are(name: str, told: dict[str, Any]) -> None:
    video = probed(FIELD / name)
    assert (video.status, video.reason) == ("ok", None)
    assert {key: getattr(video, key) for key in told} == told
