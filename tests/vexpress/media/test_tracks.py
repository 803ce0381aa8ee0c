"""Which sound counts, and channels that cancel each other out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from av.stream import Disposition

from tests.helpers.odd_videos import RATE, tone, write
from vexpress.media.formats import open_media
from vexpress.media.sound import read_sound
from vexpress.media.tracks import choose_track, sound_track


def test_the_track_marked_default_counts(tmp_path: Path) -> None:
    def second(_: Any, sounds: list[Any]) -> None:
        sounds[0].disposition = Disposition(0)
        sounds[1].disposition = Disposition.default
        sounds[0].metadata["language"] = "fra"
        sounds[1].metadata["language"], sounds[1].metadata["title"] = "eng", "Dialogue"

    both = [tone(2.0, hertz=300), tone(2.0, hertz=900)]
    path = write(tmp_path / "v.mkv", range(50), both, prepare=second)
    track = sound_track(path)
    assert track is not None
    assert (track.number, track.choice) == (1, "marked default")
    assert (track.language, track.title) == ("eng", "Dialogue")
    sound = read_sound(path).waveform
    assert np.abs(np.fft.rfft(sound)).argmax() * 16_000 / len(sound) == pytest.approx(900, abs=3)
    with open_media(path) as container:
        asked = choose_track(container, asked=0)
    assert asked is not None and (asked.number, asked.choice) == (0, "asked for")
    with open_media(path) as container:
        asked = choose_track(container, asked=7)
    assert asked is not None and asked.number == 1
    assert asked.choice == "marked default; track 7 was asked for and is not there"


@pytest.mark.parametrize("name", ["v.mkv", "v.mp4"])
@pytest.mark.parametrize(("right", "inverted"), [(-1.0, True), (-0.6, True), (1.0, False)])
def test_a_crossed_cable_is_put_right(
    name: str, right: float, inverted: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / name, range(50), [tone(2.0, (1.0, right))])
    track = sound_track(path)
    assert track is not None and track.inverted is inverted
    level = np.sqrt((read_sound(path).waveform[1600:-1600] ** 2).mean())
    assert level == pytest.approx(0.2 * (1 + abs(right)), rel=0.05)


def test_sides_that_have_nothing_in_common_are_left_alone(tmp_path: Path) -> None:
    noise = 0.2 * np.random.default_rng(0).standard_normal((2, RATE)).astype(np.float32)
    track = sound_track(write(tmp_path / "v.mkv", range(25), [noise]))
    assert track is not None and not track.inverted
