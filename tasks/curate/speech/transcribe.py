"""What is said in a clip: language, transcript, words with their times.

Takes a `Candidate` with `audio_path`, gives it with `language`, `transcript` and `words`, and
one `Word` a word, in the clip's own time. Whisper runs through faster-whisper in this
environment, or through whisperx in its own (`make whisperx`). Models are folders on this
machine; nothing is ever fetched. Without one the clip says so in `speech_note`.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.schemas.word import Word
from vexpress.tasks.curate.features import (
    SETTING_FILES,
    WEIGHT_FILES,
    pretrained_files,
    read_wav,
)
from vexpress.tasks.curate.speech.language import Language
from vexpress.tasks.curate.speech.transcript import FasterWhisper, Transcriber, Transcript, believed
from vexpress.tasks.curate.speech.whisperx_process import WhisperX
from vexpress.tasks.engine.step import ClipStep, Resources
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.engine.weights import Need, Weights, read_weights
from vexpress.weights.sources import get

PREFIX = "faster-whisper-"
USUAL_MODEL = f"{PREFIX}small"
MODEL_FILES = ("config.json", "model.bin", "tokenizer.json")
ALIGN_FILES = (*SETTING_FILES, "vocab.json")
ENVIRONMENT = Path(__file__).resolve().parents[3] / ".venv-whisperx/bin/python"


class SpeechConfig(Model):
    """What transcribes."""

    backend: Literal["auto", "faster-whisper", "whisperx", "none"] = "auto"
    """`auto`: faster-whisper where a model of it lies under the weights, else none."""
    model: str | None = None
    """A CTranslate2 Whisper: a folder, or NAME for `faster-whisper-NAME` under the weights; null:
    the largest that lies there."""
    language: Language | None = None
    """Language that is spoken, such as `en`; null: found out clip by clip."""
    compute_type: str = "default"
    """CTranslate2's type: `default` (the model's own), `int8`, `float16`, `float32`, …"""
    beam_size: int = Field(5, ge=1)
    """Hypotheses that are kept at once."""
    batch_size: int = Field(1, ge=1)
    """Pieces of at most 30 s that are decoded at once; matters for longer clips."""
    vad_threshold: float = Field(0.5, gt=0, lt=1)
    """Speech probability from which a span is transcribed."""
    align: tuple[str, ...] = ()
    """whisperx: alignment models, each as `LANGUAGE=FOLDER` of a wav2vec2 CTC of transformers."""
    python: str | None = None
    """whisperx: Python of its environment; null: VEXPRESS_WHISPERX, else what `make whisperx`
    made."""


class TranscribeClip(ClipStep):
    """Write down what is said; the model loads once a worker."""

    NAME: ClassVar[str] = "speech"
    GROUP: ClassVar[str] = "speech"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model", "align", "python"})
    VERSION: ClassVar[int] = 2
    RESOURCES: ClassVar[Resources] = Resources(cpus=2, gpus=0.25)

    @classmethod
    def resolve(cls, config: SpeechConfig, weights: Path | None) -> tuple[SpeechConfig, str | None]:
        """Choose back end and folders, and say which.

        Raises ConfigError when a back end or model is asked for and is not there.
        """
        if config.backend == "none":
            return config, "speech: none asked for"
        folder = find_model(config.model, weights)
        if folder is None and config.backend == "auto" and config.model is None:
            note = f"speech: skipped, no {PREFIX}* under the weights"
            return config.model_copy(update={"backend": "none"}), note
        if folder is None:
            looked = f"{weights or 'WEIGHTS'}/{PREFIX}{config.model or '*'}"
            raise ConfigError(
                f"speech.model: expected a CTranslate2 Whisper ({', '.join(MODEL_FILES)}) at "
                f"{looked}; found none. Give its folder, fetch one ({get(USUAL_MODEL)}), "
                "or set speech.backend=none."
            )
        if config.backend == "whisperx":
            return _resolve_whisperx(config, folder, weights)
        changes: dict[str, Any] = {
            "backend": "faster-whisper",
            "model": str(folder),
            "align": (),
            "python": None,
        }
        return config.model_copy(update=changes), f"speech: faster-whisper {folder}"

    @classmethod
    def weights(cls, config: SpeechConfig) -> list[Weights]:
        """Return the files of Whisper and of the alignment models."""
        if config.model is None:
            return []
        licence = "see the model's card (Whisper: MIT)"
        return [read_weights(f"speech {config.backend}", weight_files(config), licence)]

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """Either back end; without one there are no words."""
        chosen, said = cls.resolve(SpeechConfig(), weights)
        try:
            whisperx = " ".join(map(str, reversed(find_whisperx(None))))
        except ConfigError:
            whisperx = ""
        return [
            Need(
                "transcription (faster-whisper)",
                chosen.model or str(said).removeprefix("speech: "),
                chosen.model is not None,
                f"to have words in the data set: {get(USUAL_MODEL)}",
            ),
            Need(
                "transcription (whisperx)",
                whisperx or "no environment",
                bool(whisperx),
                "only for speech.backend=whisperx: make whisperx, or name VEXPRESS_WHISPERX",
            ),
        ]

    def skip(self, row: Candidate) -> list[Model] | None:
        """Without model, sound or speech, only say why there are no words."""
        if self.config.model is None:
            return [row.update(speech_note="skipped: no Whisper model")]
        if row.clip.audio_path is None:
            return [row.update(speech_note="skipped: no sound")]
        if row.clip.speech_share == 0:
            return [row.update(speech_note="skipped: no speech")]
        return None

    def identity(self, row: Candidate) -> str:
        """The clip and its sound, which a repaired offset changes."""
        return f"{row.clip.clip_id} {row.clip.audio_hash}"

    def settings(self) -> str:
        """Return the settings without the places: its keys do not hold them empty, as others do."""
        return str(self.config.model_dump_json(exclude=set(self.PLACES)))

    def __call__(self, row: Candidate) -> Iterator[Model]:
        """Yield the candidate with its transcript, and its words."""
        with self.context.dataset.local_copy(str(row.clip.audio_path)) as path:
            sound = read_wav(path)
        heard = believed(self._transcriber(sound))
        backend = f"{self.config.backend} {model_name(str(self.config.model))}"
        note = f"{backend} {self.weights_digest[:12]}"
        yield row.update(
            language=heard.language,
            language_score=heard.language_score,
            transcript=heard.text,
            words=len(heard.words),
            speech_note=f"{note}; {heard.note}" if heard.note else note,
        )
        yield from words_of(row, heard, backend)

    @cached_property
    def _transcriber(self) -> Transcriber:
        if self.config.backend == "whisperx":
            return WhisperX(self.config, aligners(self.config), gpu=self.context.gpu)
        return FasterWhisper(self.config, gpu=self.context.gpu)


def words_of(row: Candidate, heard: Transcript, backend: str) -> Iterator[Word]:
    """Yield the rows of a transcript; no word ends after its clip."""
    end = row.clip.audio_duration_s or row.clip.frames / row.clip.fps
    for index, spoken in enumerate(heard.words):
        yield Word(
            clip_id=row.clip.clip_id,
            video_id=row.clip.video_id,
            index=index,
            word=spoken.word,
            start_s=None if spoken.start_s is None else min(max(spoken.start_s, 0.0), end),
            end_s=None if spoken.end_s is None else min(max(spoken.end_s, 0.0), end),
            score=spoken.score,
            language=heard.language,
            backend=backend,
        )


def _resolve_whisperx(
    config: SpeechConfig, folder: Path, weights: Path | None
) -> tuple[SpeechConfig, str]:
    python, version = find_whisperx(config.python)
    align = {code: _align_folder(code, name, weights) for code, name in aligners(config).items()}
    languages = ", ".join(align) or "no language"
    if config.language and config.language not in align:
        raise ConfigError(
            f"speech.align: expected an alignment model for {config.language}, found one for "
            f"{languages}. Set speech.align=[{config.language}=FOLDER]."
        )
    named = tuple(f"{code}={place}" for code, place in sorted(align.items()))
    changes = {"model": str(folder), "align": named, "python": str(python)}
    about = f"speech: whisperx {version}, {folder}, aligned: {languages}"
    return config.model_copy(update=changes), about


def aligners(config: SpeechConfig) -> dict[str, str]:
    """Return the folder or name of each language's alignment model.

    Raises ConfigError where one is not told as `LANGUAGE=FOLDER`.
    """
    told = [item.partition("=") for item in config.align]
    for code, sign, name in told:
        if not (code and sign and name):
            raise ConfigError(f"speech.align: expected LANGUAGE=FOLDER, found {code}{sign}{name}")
    return {code: name for code, _, name in told}


def find_model(name: str | None, weights: Path | None) -> Path | None:
    """Return the folder of a Whisper model, by path or by name; without a name the largest."""
    if name is None:
        found = sorted(weights.absolute().glob(f"{PREFIX}*")) if weights else []
        whole = [folder for folder in found if is_model(folder)]
        return max(whole, key=lambda f: (f / "model.bin").stat().st_size, default=None)
    places = [Path(name).expanduser()]
    if weights:
        places += [weights / f"{PREFIX}{name}", weights / name]
    return next((place.absolute() for place in places if is_model(place)), None)


def is_model(folder: Path) -> bool:
    """Return whether all that Whisper needs is there, so that nothing would be fetched."""
    return all((folder / name).is_file() for name in MODEL_FILES)


def _align_folder(language: str, name: str, weights: Path | None) -> Path:
    places = [Path(name).expanduser(), *([weights / name] if weights else [])]
    for place in places:
        if pretrained_files(place, ALIGN_FILES):
            return place.absolute()
    raise ConfigError(
        f"speech.align: expected a wav2vec2 CTC model of transformers for {language} "
        f"({', '.join(ALIGN_FILES)}, {WEIGHT_FILES[0]}) at {', '.join(map(str, places))}; "
        "found none."
    )


def find_whisperx(python: str | None) -> tuple[Path, str]:
    """Return Python and version of whisperx's environment.

    Raises ConfigError when there is none.
    """
    place = Path(python or os.environ.get("VEXPRESS_WHISPERX") or ENVIRONMENT).expanduser()
    ask = "import importlib.metadata as m; print(m.version('whisperx'))"
    try:
        done = subprocess.run([place, "-I", "-c", ask], capture_output=True, text=True, timeout=60)
    except OSError as error:
        found = f"no Python there ({error.strerror})"
    else:
        if done.returncode == 0:
            return Path(shutil.which(place) or place).absolute(), done.stdout.strip()
        found = "a Python without it"
    raise ConfigError(
        f"speech.backend=whisperx: expected whisperx's environment at {place}, found {found}. "
        "Run `make whisperx`, or name its Python in speech.python or VEXPRESS_WHISPERX."
    )


def weight_files(config: SpeechConfig) -> list[Path]:
    """Return the files of the models of a resolved configuration that has one."""
    folders = map(Path, aligners(config).values())
    align = [file for folder in folders for file in pretrained_files(folder, ALIGN_FILES)]
    return [*(Path(str(config.model)) / name for name in MODEL_FILES), *align]


def model_name(folder: str) -> str:
    """Return what the folder's name says of the model."""
    return Path(folder).name.removeprefix(PREFIX)
