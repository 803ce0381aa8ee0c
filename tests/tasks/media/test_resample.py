"""A clip's frames and samples are those of its own time, to the frame and the millisecond."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.steps import probed, rewrap
from tests.talking_heads import Shot, Speech, VideoFormat, render
from tests.talking_heads import sound as rendered
from vexpress.tasks.media.resample import BLOCK_S, read_sound, shown_frames, stream_sound

RATE = 16000
SMALL = VideoFormat(width=64, height=48)
SHOT = Shot(
    duration_s=6,
    speech=(
        Speech(text="One, two, three.", start_s=0.2),
        Speech(text="Four, five, six, seven, eight, nine.", start_s=2.4),
    ),
)


def test_an_equal_rate_is_copied_frame_for_frame() -> None:
    for fps in (25.0, 30.0, 30000 / 1001, 60.0):
        times = 3.7 + np.arange(301) / fps
        np.testing.assert_array_equal(shown_frames(times, fps, 300), np.arange(300))
        milliseconds = np.round(times, 3)
        np.testing.assert_array_equal(shown_frames(milliseconds, fps, 300), np.arange(300))


def test_thirty_to_twenty_five_leaves_out_every_sixth_frame() -> None:
    shown = shown_frames(np.arange(301) / 30 + 1e-9, 25, 250)
    assert len(set(shown)) == 250, "none twice"
    left_out = sorted(set(range(300)) - set(shown))
    assert set(np.diff(left_out)) == {6}


def test_fifteen_to_twenty_five_repeats_frames_evenly() -> None:
    counts = np.bincount(shown_frames(np.arange(31) / 15, 25, 50))
    assert counts.sum() == 50 and set(counts) == {1, 2}


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
def test_a_variable_rate_stays_within_half_a_frame(fps: float) -> None:
    random = np.random.default_rng(1)
    times = np.concatenate([[0], np.cumsum(random.choice([0.02, 0.04, 0.08, 0.3], 400))])
    count = int(times[-1] * fps)
    shown = shown_frames(times, fps, count)
    starts = np.arange(count) / fps
    begun, ended = times[shown], times[shown + 1]
    assert (begun <= starts + 0.5 / fps + 1e-9).all()
    assert (ended >= starts + 0.5 / fps - 1e-9).all()
    assert (np.diff(shown) >= 0).all()


def test_one_frame_fills_a_clip() -> None:
    assert shown_frames(np.array([0.0, 0.04]), 25, 1).tolist() == [0]
    assert shown_frames(np.array([0.0, 0.2]), 25, 5).tolist() == [0] * 5


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of speech in several containers; `t.json` beside them."""
    folder = tmp_path_factory.mktemp("talk")
    render([SHOT], folder / "t.mp4", SMALL)
    render([SHOT], folder / "late.mp4", SMALL.model_copy(update={"sound_from_s": 2.6}))
    render([SHOT], folder / "48k.mp4", SMALL.model_copy(update={"sample_rate": 48000}))
    rewrap(folder / "t.mp4", folder / "t.mkv")
    rewrap(folder / "t.mp4", folder / "t.ts")
    rewrap(folder / "late.mp4", folder / "late.mkv")
    return folder


def told(start_s: float, samples: int) -> np.ndarray:
    """What the renderer made, before it was encoded."""
    track = rendered.mix(rendered.utterances([SHOT], [0.0], RATE), 6.0, RATE)
    start = round(start_s * RATE)
    return np.pad(track, (0, samples))[start : start + samples]


def lag(heard: np.ndarray, expected: np.ndarray) -> int:
    """How many samples later `heard` is."""
    return int(np.argmax(np.correlate(heard, expected, "full"))) - (len(expected) - 1)


@pytest.mark.parametrize("name", ["t.mp4", "t.mkv", "t.ts", "48k.mp4"])
@pytest.mark.parametrize("start_s", [0.0, 0.25, 0.5, 2.0, 3.3, 4.2])
def test_sound_is_exact_to_the_millisecond(name: str, start_s: float, talk: Path) -> None:
    samples = round(1.5 * RATE)
    begin = (probed(talk / name).start_s or 0) + start_s
    heard = read_sound(str(talk / name), begin, samples, RATE)
    assert heard.shape == (samples, 1) and heard.dtype == np.float32
    expected = told(start_s, samples)
    late = lag(heard[:, 0], expected)
    assert abs(late) <= RATE // 1000
    assert np.corrcoef(np.roll(heard[:, 0], -late), expected)[0, 1] > 0.95


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
@pytest.mark.parametrize("start_s", [0.0, 2.0, 2.8])
def test_sound_that_starts_late_stays_in_its_place(name: str, start_s: float, talk: Path) -> None:
    samples = round(2.5 * RATE)
    heard = read_sound(str(talk / name), start_s, samples, RATE)[:, 0]
    expected = told(start_s, samples)
    silent = max(0, round((2.6 - start_s) * RATE))
    expected[:silent] = 0
    before = max(0, silent - RATE // 20)
    assert np.abs(heard[:before]).max(initial=0) < 1e-3
    if expected.any():
        assert abs(lag(heard, expected)) <= RATE // 1000


def test_beyond_the_end_there_is_silence(talk: Path) -> None:
    heard = read_sound(str(talk / "t.mp4"), 5.0, 3 * RATE, RATE)
    assert heard.shape == (3 * RATE, 1)
    assert not heard[round(1.1 * RATE) :].any()
    assert not read_sound(str(talk / "t.mp4"), 60.0, 100, RATE).any()


@pytest.mark.parametrize("name", ["t.mp4", "t.ts", "48k.mp4", "late.mkv"])
@pytest.mark.parametrize("from_s", [0.0, 1.3])
def test_streamed_sound_is_the_sound_read_at_once(name: str, from_s: float, talk: Path) -> None:
    start_s = (probed(talk / name).start_s or 0) + from_s
    blocks = list(stream_sound(str(talk / name), start_s, 8.0, RATE))
    streamed = np.concatenate(blocks)
    assert streamed.dtype == np.float32 and len(streamed) == 8 * RATE
    at_once = read_sound(str(talk / name), start_s, 8 * RATE, RATE)[:, 0]
    late = lag(streamed[2 * RATE : 4 * RATE], at_once[2 * RATE : 4 * RATE])
    assert abs(late) <= 2, "samples: a seek starts the resampler elsewhere"
    assert np.corrcoef(np.roll(streamed, -late), at_once)[0, 1] > 0.98


def test_what_a_source_does_not_have_is_streamed_in_small_blocks(talk: Path) -> None:
    blocks = [len(b) for b in stream_sound(str(talk / "t.mp4"), 0.0, 3600.0, RATE)]
    assert sum(blocks) == 3600 * RATE and max(blocks) == BLOCK_S * RATE
    assert sum(len(b) for b in stream_sound(str(talk / "t.mp4"), 1e6, 1.0, RATE)) == RATE


def test_a_source_without_sound_is_silent(tmp_path: Path) -> None:
    render([Shot(duration_s=0.2)], tmp_path / "v.mp4", SMALL.model_copy(update={"sound": False}))
    assert not read_sound(str(tmp_path / "v.mp4"), 0.0, 100, RATE).any()


def test_both_sides_of_a_stereo_source_come_back(tmp_path: Path) -> None:
    left = 0.5 * np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE)
    right = np.zeros(2 * RATE)
    with av.open(str(tmp_path / "s.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="stereo")
        for at in range(0, 2 * RATE, 1024):
            both = np.stack([left, right]).astype(np.float32)[:, at : at + 1024]
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(both), "fltp", "stereo")
            frame.sample_rate, frame.pts = RATE, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard = read_sound(str(tmp_path / "s.mp4"), 0.5, RATE, RATE, "stereo")
    assert heard.shape == (RATE, 2)
    assert np.abs(heard[:, 0]).max() == pytest.approx(0.5, abs=0.05)
    assert np.abs(heard[:, 1]).max() < 0.02
    mono = read_sound(str(tmp_path / "s.mp4"), 0.5, RATE, RATE)
    assert np.abs(mono).max() == pytest.approx(0.25, abs=0.15)


def test_a_hole_in_the_sound_does_not_move_what_follows(talk: Path) -> None:
    """Packets are missing from 1 to 2 s, as after a dropped connection."""
    path = talk / "holed.mkv"
    with av.open(str(talk / "t.mp4")) as old, av.open(str(path), "w") as new:
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            lost = packet.stream.type == "audio" and packet.pts is not None
            if packet.dts is None or (lost and 1 < packet.pts * packet.time_base < 2):
                continue
            packet.stream = copies[packet.stream.index]
            new.mux(packet)
    samples = 4 * RATE
    begin = (probed(path).start_s or 0) + 0.8
    heard = read_sound(str(path), begin, samples, RATE)[:, 0]
    expected = told(0.8, samples)
    after = slice(round(1.6 * RATE), samples)
    assert abs(lag(heard[after], expected[after])) <= RATE // 1000
