"""Speech is speech where the truth says, and in any number of blocks as in one piece."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.vad import VadOptions, get_speech_timestamps

from tests.helpers.steps import look, probed
from tests.talking_heads import Shot, VideoFormat, render
from tests.tasks.conftest import Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.tasks.curate.sound import RATE
from vexpress.tasks.curate.vad import WINDOW, DetectSpeech, VadConfig, detect_speech
from vexpress.tasks.engine.ledger import Ledger, Tally
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Cuts, DetectedVideo, SpeechActivity
from vexpress.tasks.media.resample import read_sound


def hear(
    detected_video: DetectedVideo, folder: Path, config: VadConfig = VadConfig()
) -> DetectedVideo:
    """What `detect_speech` makes of a video looked at; the ledger lies in `folder`."""
    ledger = Ledger(folder / "ledger.sqlite")
    (answer,) = DetectSpeech(config, Context(Dataset(folder))).run(detected_video, ledger)
    ledger.close()
    assert isinstance(answer, DetectedVideo)
    return answer


@pytest.fixture(scope="module")
def speech(four_shots: Rendered) -> np.ndarray:
    """Twenty seconds of the rendered sound, three times over, at different levels."""
    once = read_sound(str(four_shots.path), 0.0, 7 * RATE, RATE)[:, 0]
    return np.concatenate([once, 0.3 * once, 1.5 * once])


def test_speech_is_heard_when_the_truth_says(four_shots: Rendered, tmp_path: Path) -> None:
    (told,) = four_shots.truth.speech
    speech = hear(four_shots.detected_video, tmp_path).speech
    assert speech is not None
    assert speech.starts[0] == pytest.approx(told.start_s, abs=0.15)
    assert speech.ends[-1] == pytest.approx(told.end_s, abs=0.15)
    assert len(speech.levels) == pytest.approx(four_shots.truth.duration_s / speech.window_s, abs=1)
    silent = speech.levels[round(4.5 / speech.window_s) :]
    assert silent.max() < -90 < -40 < speech.levels.max()


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_any_length_give_the_answer_of_one_piece(seed: int, speech: np.ndarray) -> None:
    whole = detect_speech(iter([speech]), 0.5)
    borders = np.sort(np.random.default_rng(seed).integers(0, len(speech), 40))
    pieces = detect_speech(iter(np.split(speech, borders)), 0.5)
    assert all(
        np.array_equal(getattr(pieces, name), getattr(whole, name))
        for name in ("starts", "ends", "levels")
    )


def test_spans_are_those_of_the_library(
    speech: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vexpress.tasks.curate.vad.WINDOWS_AT_ONCE", 7
    )  # many borders inside of speech
    heard = detect_speech(iter(np.array_split(speech, 100)), 0.5)
    options = VadOptions(threshold=0.5, min_silence_duration_ms=200, speech_pad_ms=0)
    expected = get_speech_timestamps(speech, options)
    assert len(expected) >= 3
    told = [(span["start"], span["end"]) for span in expected]
    mine = np.round(np.stack([heard.starts, heard.ends], axis=1) * RATE).astype(int)
    assert mine == pytest.approx(np.array(told), abs=WINDOW - 1), "the last may end in a window"


def test_memory_is_flat_in_length() -> None:
    def silence(seconds: int) -> Iterator[np.ndarray]:
        for _ in range(seconds // 10):
            yield np.zeros(10 * RATE, np.float32)

    peaks = []
    for seconds in (60, 600):
        tracemalloc.start()
        detect_speech(silence(seconds), 0.5)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 100_000, "a level is one byte in 32 ms"


def test_other_cuts_and_faces_hear_nothing_again_and_another_threshold_does(
    four_shots: Rendered, tmp_path: Path
) -> None:
    first = hear(four_shots.detected_video, tmp_path)
    others = four_shots.detected_video.model_copy(
        update={"cuts": Cuts(times=four_shots.detected_video.cuts.times, cuts=[7])}
    )
    ledger = Ledger(tmp_path / "ledger.sqlite")
    context = Context(Dataset(tmp_path))
    (again,) = DetectSpeech(VadConfig(), context).run(others, ledger)
    assert ledger.tallies() == {"vad": Tally(run=0, reused=1)}
    DetectSpeech(VadConfig(vad_threshold=0.8), context).run(others, ledger)
    assert ledger.tallies()["vad"].run == 1
    ledger.close()
    assert isinstance(again, DetectedVideo) and isinstance(first.speech, SpeechActivity)
    assert again.cuts.cuts == [7] and again.speech is not None
    np.testing.assert_array_equal(again.speech.levels, first.speech.levels)


def test_without_sound_nothing_is_heard(tmp_path: Path) -> None:
    form = VideoFormat(width=64, height=48, sound=False)
    render([Shot(duration_s=0.4)], tmp_path / "v.mp4", form)
    detected_video = look(probed(tmp_path / "v.mp4"), (10, 10, 40, 40))
    assert hear(detected_video, tmp_path) is detected_video


def test_a_damaged_sound_track_is_heard_as_far_as_it_goes(
    four_shots: Rendered, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.mp4"
    data = bytearray(four_shots.path.read_bytes())
    first = data.index(b"mdat") + 4
    data[first + 2000 : first + 12000] = b"\xff" * 10000  # the sound is stored first
    damaged.write_bytes(data)
    video = four_shots.detected_video.video.model_copy(update={"source": str(damaged)})
    speech = hear(four_shots.detected_video.model_copy(update={"video": video}), tmp_path).speech
    assert speech is not None and len(speech.levels) > 200
