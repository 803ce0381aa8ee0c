"""Audio features of a clip, as V-Express trains on them.

Takes a `Candidate`, gives it with `features_path`: safetensors with `global_embeds`,
float32 (N, 1, hidden), wav2vec2's last hidden state, about 50 vectors a second. Without
weights the clip says so in `features_note`; numbers are never made up.
"""

import json
import wave
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.tasks.curate.crop import temporary_file
from vexpress.tasks.curate.sound import RATE
from vexpress.tasks.engine.step import ClipStep, Resources
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.engine.weights import Need, Weights, read_weights
from vexpress.weights.quiet import quietly
from vexpress.weights.sources import get

DEFAULT_MODEL = "wav2vec2-base-960h"
SETTING_FILES = ("config.json", "preprocessor_config.json")
MAX_HEADER = 1 << 16
"""Bytes read of a file's header."""
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


class FeatureConfig(Model):
    """What makes audio features."""

    model: str | None = DEFAULT_MODEL
    """A transformers folder with a wav2vec2, or its name under the weights; null: none."""


class ExtractFeatures(ClipStep):
    """Run wav2vec2 over the clip's sound."""

    NAME: ClassVar[str] = "features"
    GROUP: ClassVar[str] = "features"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})
    RESOURCES: ClassVar[Resources] = Resources(cpus=1, gpus=0.25)

    @classmethod
    def resolve(
        cls, config: FeatureConfig, weights: Path | None
    ) -> tuple[FeatureConfig, str | None]:
        """Choose the folder or none, and say which.

        Raises ConfigError when a model is asked for that is not there.
        """
        if config.model is None:
            return config, "features: none asked for"
        places = [Path(config.model).expanduser()]
        if weights:
            places += [weights / config.model, weights / "model_ckpts" / config.model]
        for place in places:
            if pretrained_files(place):
                chosen = config.model_copy(update={"model": str(place.resolve())})
                return chosen, f"features: {place}"
        if config.model != DEFAULT_MODEL:
            looked = ", ".join(map(str, places))
            raise ConfigError(
                f"features.model: expected a transformers folder with a wav2vec2 at {looked}; "
                f"found none. Give its path, fetch one ({get(DEFAULT_MODEL)}), or "
                "features.model=null to go without features."
            )
        note = f"features: skipped, no {config.model} under the weights"
        return config.model_copy(update={"model": None}), note

    @classmethod
    def weights(cls, config: FeatureConfig) -> list[Weights]:
        """Return configuration and weights of the model."""
        if config.model is None:
            return []
        licence = "see the model's card (wav2vec2-base-960h: Apache-2.0)"
        return [read_weights("features wav2vec2", pretrained_files(Path(config.model)), licence)]

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """V-Express's own model; without one there are no features."""
        chosen, said = cls.resolve(FeatureConfig(), weights)
        return [
            Need(
                "audio features",
                chosen.model or str(said).removeprefix("features: "),
                chosen.model is not None,
                f"to have them in the data set, and to train: {get(DEFAULT_MODEL)}",
            )
        ]

    def skip(self, row: Candidate) -> list[Model] | None:
        """Without weights or sound, only say why there are no features."""
        if self.config.model is None:
            return [row.update(features_note="skipped: no wav2vec2 weights")]
        if row.clip.audio_path is None:
            return [row.update(features_note="skipped: no sound")]
        return None

    def identity(self, row: Candidate) -> str:
        """The clip and its sound, which a repaired offset changes."""
        return f"{row.clip.clip_id} {row.clip.audio_hash}"

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate with its features written."""
        from safetensors.numpy import save_file

        sound = read_wav(self.context.dataset.fetch(str(row.clip.audio_path)))
        name = f"features/{row.clip.clip_id}.safetensors"
        note = f"{Path(str(self.config.model)).name} {self.weights_digest[:12]}"
        with temporary_file(self.context.dataset.scratch, ".safetensors") as path:
            about = made_from(note, row.clip.audio_hash)
            save_file({"global_embeds": self._embed(sound)}, str(path), about)
            self.context.dataset.publish(path, name)
        yield row.update(features_path=name, features_note=note)

    def is_complete(self, answers: list[Model]) -> bool:
        """Also whether the file is of this model and sound: it may have been written again."""
        clips = [a.clip for a in answers if isinstance(a, Candidate)]
        return super().is_complete(answers) and all(
            self._about(clip.features_path) == made_from(clip.features_note, clip.audio_hash)
            for clip in clips
            if clip.features_path
        )

    def _about(self, name: str) -> dict[str, str]:
        """What a file of features says of itself; only its header is read."""
        dataset = self.context.dataset
        with dataset.fs.open(dataset.path(name), "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = file.read(min(size, MAX_HEADER))
        try:
            return dict(json.loads(header)["__metadata__"])
        except (ValueError, KeyError, TypeError):
            return {}

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

        folder = str(self.config.model)
        with quietly():
            model = Wav2Vec2Model.from_pretrained(folder, local_files_only=True).eval()
        device = "cuda" if self.context.gpu else "cpu"
        return Wav2Vec2FeatureExtractor.from_pretrained(folder), model.to(device)

    def _embed(self, sound: np.ndarray) -> np.ndarray:
        import torch

        extractor, model = self._model
        values = extractor(sound, sampling_rate=RATE, return_tensors="pt").input_values
        with torch.no_grad():
            hidden = model(values.to(model.device)).last_hidden_state
        return hidden[0][:, None].float().cpu().numpy()


def why_not_trainable(config: FeatureConfig) -> str | None:
    """Return why clips of a resolved `config` cannot be trained on, and what to do, or None."""
    if config.model is not None:
        return None
    return (
        f"no features of the sound. Get {DEFAULT_MODEL} ({get(DEFAULT_MODEL)}), then curate again"
    )


def made_from(note: str | None, audio_hash: str | None) -> dict[str, str]:
    """Return what a file says of itself: one entry, for their order in the file is not fixed."""
    return {"made_from": f"{note}, sound {audio_hash}"}


def read_wav(path: Path) -> np.ndarray:
    """Return 16 bit mono as float32 (samples,) in -1 … 1."""
    with wave.open(str(path), "rb") as file:
        data = file.readframes(file.getnframes())
    return np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768


def pretrained_files(folder: Path, settings: Sequence[str] = SETTING_FILES) -> list[Path]:
    """Return the `settings` and the weights of a whole transformers folder, else nothing."""
    weights = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    files = [folder / name for name in settings]
    whole = weights and all(path.is_file() for path in files)
    return [*files, weights[0]] if whole else []
