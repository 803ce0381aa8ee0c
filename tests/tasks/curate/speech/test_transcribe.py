"""What is said is written down, in the clip's own time, by either back end."""

import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.sentences import SENTENCES, say
from tests.helpers.steps import candidates, look, probed
from tests.helpers.tiny_ctc import save_aligner
from tests.talking_heads import Shot, Speech, Truth, VideoFormat, render
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.schemas.word import Word
from vexpress.tasks.curate.chain import finished
from vexpress.tasks.curate.features import read_wav
from vexpress.tasks.curate.sound import RATE, SoundConfig, TakeSound
from vexpress.tasks.curate.speech.transcribe import (
    MODEL_FILES,
    SpeechConfig,
    TranscribeClip,
    find_model,
    find_whisperx,
    model_name,
)
from vexpress.tasks.curate.speech.transcript import (
    MOST_COMPRESSION,
    FasterWhisper,
    believed,
    compression,
)
from vexpress.tasks.curate.speech.whisperx_process import WhisperX
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.resample import read_sound

JFK = (
    "And so, my fellow Americans, ask not what your country can do for you, "
    "ask what you can do for your country."
)
START_S = 0.3
"""When the recording starts in the video."""
VOICE = "en-us+m3"
UNHEARD = (
    "The captain was surprised because nobody asked about the second letter. "
    "People like to talk about small towns."
)
"""Sentences that the aligner is not fitted to, in a voice that it is fitted to."""


@pytest.fixture(scope="module")
def spoken(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Candidate, Context]:
    """A clip of 11.4 s with a real recording under it, and its data set."""
    folder = tmp_path_factory.mktemp("jfk")
    dataset = Dataset(folder / "set")
    dataset.create()
    speech = Speech(text=JFK, recording=assets / "audio/jfk.flac", start_s=START_S)
    return talk(speech, folder / "v.mp4", Context(dataset))[0], Context(dataset)


def talk(speech: Speech, path: Path, context: Context) -> tuple[Candidate, Truth]:
    """A clip of 11.4 s with somebody speaking."""
    form = VideoFormat(width=64, height=48)
    truth = render([Shot(duration_s=11.4, speech=(speech,))], path, form)
    detected_video = look(probed(path), (10, 10, 40, 40))
    (clip,) = candidates(detected_video, path.parent, max_s=12)
    (made,) = TakeSound(SoundConfig(), context)(clip)
    return made, truth


@pytest.fixture(scope="module")
def config(assets: Path) -> SpeechConfig:
    """faster-whisper with the model among the assets."""
    chosen, told = TranscribeClip.resolve(SpeechConfig(compute_type="float32"), assets / "models")
    assert chosen.backend == "faster-whisper" and told.endswith("faster-whisper-tiny.en")
    return chosen


@pytest.fixture(scope="module")
def transcribed(
    spoken: tuple[Candidate, Context], config: SpeechConfig
) -> tuple[Candidate, list[Word]]:
    """The clip and its words, by faster-whisper."""
    row, *words = TranscribeClip(config, spoken[1])(spoken[0])
    assert isinstance(row, Candidate)
    return row, [word for word in words if isinstance(word, Word)]


def plain(text: str | None) -> list[str]:
    return str(text).lower().replace(",", "").replace(".", "").split()


@pytest.mark.assets
def test_a_real_recording_under_a_video_is_transcribed_in_the_clips_time(
    transcribed: tuple[Candidate, list[Word]], assets: Path
) -> None:
    from faster_whisper import WhisperModel

    row, words = transcribed
    assert plain(row.clip.transcript) == plain(JFK)
    assert (row.clip.language, row.clip.language_score) == ("en", None), "it knows but one"
    assert row.clip.words == len(words) == len(plain(JFK))
    assert [word.index for word in words] == list(range(len(words)))
    model = WhisperModel(str(assets / "models/faster-whisper-tiny.en"), device="cpu")
    segments, _ = model.transcribe(str(assets / "audio/jfk.flac"), word_timestamps=True)
    alone = [word for segment in segments for word in segment.words or []]
    assert [w.word.strip().strip(",.") for w in alone] == [w.word.strip(",.") for w in words]
    for name in ("start", "end"):
        ours = np.array([getattr(word, f"{name}_s") for word in words]) - START_S
        theirs = np.array([getattr(word, name) for word in alone])
        assert np.abs(ours - theirs).max() < 0.12, name


@pytest.mark.assets
def test_words_that_repeat_themselves_are_left_out(assets: Path, config: SpeechConfig) -> None:
    sound = read_sound(str(assets / "videos/demo2_video.mp4"), 10.2, 10 * RATE, RATE)[:, 0]
    heard = FasterWhisper(config.model_copy(update={"beam_size": 1}), gpu=False)(sound)
    assert compression(heard.text) > MOST_COMPRESSION, "the model does not make out what is said"
    kept = believed(heard)
    assert (kept.text, kept.words) == ("", [])
    assert kept.note.startswith(f"left out: {len(heard.words)} words that repeat themselves")
    assert believed(replace(heard, text=JFK)).text == JFK


@pytest.mark.assets
def test_what_was_transcribed_is_not_transcribed_again_and_another_setting_is(
    spoken: tuple[Candidate, Context],
    config: SpeechConfig,
    transcribed: tuple[Candidate, list[Word]],
    tmp_path: Path,
) -> None:
    row, context = spoken
    ledger = Ledger(tmp_path / "ledger.sqlite")
    answers = TranscribeClip(config, context).run(row, ledger)
    assert answers == [transcribed[0], *transcribed[1]]
    shutil.copytree(str(config.model), tmp_path / "elsewhere/faster-whisper-tiny.en")
    moved = config.model_copy(
        update={"model": str(tmp_path / "elsewhere/faster-whisper-tiny.en"), "align": ()}
    )
    assert TranscribeClip(moved, context).run(row, ledger) == answers
    assert ledger.tallies()["speech"].run == 1 and ledger.tallies()["speech"].reused == 1
    ledger.close()
    keys = {
        TranscribeClip(config.model_copy(update=change), context).key(clip)
        for change in ({}, {"beam_size": 1}, {"language": "en"})
        for clip in (row, row.update(audio_hash="of a repaired offset"))
    }
    assert len(keys) == 6


def test_a_clip_without_words_says_why(tmp_path: Path, context: Context) -> None:
    render([Shot(duration_s=1)], tmp_path / "v.mp4", VideoFormat(width=64, height=48))
    (clip,) = candidates(look(probed(tmp_path / "v.mp4"), (10, 10, 40, 40)), tmp_path)
    (silent,) = TakeSound(SoundConfig(), context)(clip)
    ledger = Ledger(tmp_path / "ledger.sqlite")

    def note(row: Candidate, backend: str) -> str | None:
        config = SpeechConfig.model_validate(
            {"backend": backend, "model": None if backend == "none" else "no such folder"}
        )
        (answer,) = TranscribeClip(config, context).run(row, ledger)
        assert isinstance(answer, Candidate) and answer.clip.transcript is None
        return answer.clip.speech_note

    assert note(silent, "none") == "skipped: no Whisper model"
    assert note(clip, "faster-whisper") == "skipped: no sound"
    assert note(silent, "faster-whisper") == "skipped: no speech"
    assert ledger.tallies() == {}
    ledger.close()


def fake_model(folder: Path, size: int) -> Path:
    folder.mkdir(parents=True)
    for name in MODEL_FILES:
        (folder / name).write_bytes(b"0" * size)
    return folder


def test_the_largest_model_is_taken_and_half_a_model_is_none(tmp_path: Path) -> None:
    config, told = TranscribeClip.resolve(SpeechConfig(), tmp_path)
    assert config.backend == "none"
    assert told == "speech: skipped, no faster-whisper-* under the weights"
    half = fake_model(tmp_path / "faster-whisper-half", 99)
    (half / "tokenizer.json").unlink()  # it would be fetched
    small = fake_model(tmp_path / "faster-whisper-small", 1)
    large = fake_model(tmp_path / "faster-whisper-a-large", 2)
    assert TranscribeClip.resolve(SpeechConfig(), tmp_path)[0].model == str(large)
    for name in ("small", "faster-whisper-small", str(small)):
        assert TranscribeClip.resolve(SpeechConfig(model=name), tmp_path)[0].model == str(small)
    assert TranscribeClip.resolve(SpeechConfig(backend="none"), tmp_path)[0].model is None


def test_a_model_is_known_by_the_name_it_was_given_and_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fake_model(tmp_path / "snapshots/8f0e", 1)
    (tmp_path / "faster-whisper-mine").symlink_to(place)
    monkeypatch.chdir(tmp_path)
    for name in (None, "mine", "faster-whisper-mine"):
        found = find_model(name, Path())
        assert found == tmp_path / "faster-whisper-mine" and model_name(str(found)) == "mine"


def test_a_back_end_that_is_not_there_fails_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"a CTranslate2 Whisper .*vexpress weights fetch"):
        TranscribeClip.resolve(SpeechConfig(backend="faster-whisper"), tmp_path)
    with pytest.raises(ConfigError, match="faster-whisper-large"):
        TranscribeClip.resolve(SpeechConfig(model="large"), tmp_path)
    fake_model(tmp_path / "faster-whisper-small", 1)
    monkeypatch.setenv("VEXPRESS_WHISPERX", str(tmp_path / "python"))
    with pytest.raises(ConfigError, match=r"no Python there.*Run `make whisperx`"):
        TranscribeClip.resolve(SpeechConfig(backend="whisperx"), tmp_path)
    monkeypatch.setenv("VEXPRESS_WHISPERX", sys.executable)
    with pytest.raises(ConfigError, match="a Python without it"):
        TranscribeClip.resolve(SpeechConfig(backend="whisperx"), tmp_path)


def test_a_relative_python_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "env/python"
    python.parent.mkdir()
    python.write_text("#!/bin/sh\necho 3.8.1\n")
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    assert find_whisperx("env/python") == (python, "3.8.1")
    monkeypatch.setenv("PATH", str(python.parent), prepend=":")
    assert find_whisperx("python") == (python, "3.8.1"), "a command's name is looked up"


def test_a_process_that_cannot_start_says_why() -> None:
    config = SpeechConfig(backend="whisperx", model="none", python=sys.executable)
    with pytest.raises(RuntimeError, match="No module named 'whisperx'"):
        WhisperX(config, {}, gpu=False)(np.zeros(160, np.float32))


@pytest.fixture(scope="module")
def aligned_config(
    config: SpeechConfig,
    spoken: tuple[Candidate, Context],
    transcribed: tuple[Candidate, list[Word]],
    tmp_path_factory: pytest.TempPathFactory,
) -> SpeechConfig:
    """whisperx with an aligner that knows this one recording and a voice of eSpeak NG; skips
    without the environment."""
    try:
        python, _ = find_whisperx(None)
    except ConfigError as error:
        pytest.skip(str(error))
    sound = read_wav(spoken[1].dataset.fetch(str(spoken[0].clip.audio_path)))
    words = [(w.word, float(w.start_s or 0), float(w.end_s or 0)) for w in transcribed[1]]
    recordings = [(sound, words), say(SENTENCES, VOICE, RATE)]
    aligner = save_aligner(tmp_path_factory.mktemp("aligner") / "en", recordings)
    wanted = config.model_copy(
        update={"backend": "whisperx", "align": (f"en={aligner}",), "python": str(python)}
    )
    return TranscribeClip.resolve(wanted, None)[0]


@pytest.fixture(scope="module")
def whisperx(aligned_config: SpeechConfig, spoken: tuple[Candidate, Context]) -> TranscribeClip:
    """The step with whisperx, warm from clip to clip."""
    return TranscribeClip(aligned_config, spoken[1])


@pytest.mark.assets
@pytest.mark.whisperx
@pytest.mark.slow
def test_whisperx_finds_the_same_words_at_the_same_times_in_the_same_table(
    whisperx: TranscribeClip,
    spoken: tuple[Candidate, Context],
    transcribed: tuple[Candidate, list[Word]],
    tmp_path: Path,
) -> None:
    clip, _ = spoken
    dataset = Dataset(tmp_path / "set")
    dataset.create()
    prepare_manifests(dataset)
    row, *words = whisperx(clip.update(clip_id="by whisperx"))
    assert isinstance(row, Candidate)
    assert plain(row.clip.transcript) == plain(JFK)
    assert row.clip.speech_note and row.clip.speech_note.startswith("whisperx tiny.en ")
    both = [*transcribed, row, *words]
    units = [unit for item in both for unit in (item if isinstance(item, list) else [item])]
    videos = {clip.video.video_id: clip.video}
    rows = [finished(unit, videos, "w1") for unit in units]
    commit_batch(dataset, "w1", [*rows, clip.video.model_copy(update={"batch_id": "w1"})])
    told = run_query(
        dataset,
        "SELECT backend, list(word), list(words.start_s), list(words.end_s), "
        "min(score), max(score) FROM words JOIN kept USING (clip_id) "
        "GROUP BY backend ORDER BY backend",
    ).fetchall()
    assert [line[0] for line in told] == ["faster-whisper tiny.en", "whisperx tiny.en"]
    assert plain(" ".join(told[0][1])) == plain(" ".join(told[1][1]))
    starts, ends = (np.abs(np.subtract(told[0][i], told[1][i])) for i in (2, 3))
    # faster-whisper begins the first word in silence, where an aligner can find nothing.
    assert starts[1:].max() < 0.12
    assert np.median(ends) < 0.12
    assert all(0 <= line[4] <= line[5] <= 1 for line in told)


@pytest.mark.assets
@pytest.mark.whisperx
@pytest.mark.slow
def test_whisperx_finds_when_words_are_said_in_sentences_it_was_not_fitted_to(
    whisperx: TranscribeClip, spoken: tuple[Candidate, Context], tmp_path: Path
) -> None:
    speech = Speech(text=UNHEARD, voice=VOICE, start_s=1.7)
    clip, truth = talk(speech, tmp_path / "v.mp4", spoken[1])
    _, *words = whisperx(clip)
    assert plain(" ".join(word.word for word in words)) == plain(UNHEARD)  # type: ignore[attr-defined]
    said = truth.speech[0].words
    assert [word.word for word in said] == UNHEARD.replace(".", "").split()
    late = [found.start_s - told.start_s for found, told in zip(words, said, strict=True)]  # type: ignore[attr-defined]
    # The closure of a consonant is silent: what is found is its end.
    assert np.median(np.abs(late)) < 0.03 and np.abs(late).max() < 0.2
    assert (np.abs(late) < 0.06).mean() >= 0.75


@pytest.mark.assets
@pytest.mark.whisperx
@pytest.mark.slow
def test_a_killed_process_is_a_failed_clip_and_the_next_clip_starts_another(
    aligned_config: SpeechConfig, spoken: tuple[Candidate, Context], tmp_path: Path
) -> None:
    row, context = spoken
    ledger = Ledger(tmp_path / "ledger.sqlite")
    without_aligner = aligned_config.model_copy(update={"align": ()})
    step = TranscribeClip(without_aligner, context)
    silent = row.update(clip_id="warm")
    assert isinstance(step.run(silent, ledger)[0], Candidate)
    process = step._transcriber._running  # type: ignore[attr-defined]
    threading.Timer(0.05, lambda: process._process.kill()).start()
    (failed,) = step.run(row, ledger)
    assert isinstance(failed, Candidate)
    assert (failed.clip.status, failed.clip.reason) == ("rejected", "failed")
    assert failed.clip.is_error and "whisperx's process ended" in str(failed.clip.detail)
    assert "exit code -9" in str(failed.clip.detail)
    (again,) = step.run(row.update(clip_id="next"), ledger)
    assert isinstance(again, Candidate)
    assert plain(again.clip.transcript) == plain(JFK)
    assert again.clip.speech_note and again.clip.speech_note.endswith(
        "no alignment model for en, so no words"
    )
    ledger.close()
