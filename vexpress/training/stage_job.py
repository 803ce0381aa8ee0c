"""What a worker needs to know to train a stage, and where things are in a run.

RUN/clips.safetensors
RUN/stage_N/metrics.jsonl checkpoints/ previews/ tensorboard/ weights/ weights_mean/ done.json
"""

import json
from pathlib import Path
from typing import Any

from vexpress.errors import InputError, SettingsError
from vexpress.training.settings import Settings, TrainSettings
from vexpress.weights.catalogue import pretrained_in

CLIPS, VAE = "clips.safetensors", "sd-vae-ft-mse"


class StageJob(Settings):
    """What a worker needs to know."""

    run: Path
    """Folder of the run."""
    number: int
    """The stage."""
    settings: TrainSettings
    """All settings of the run."""

    @property
    def folder(self) -> Path:
        """Folder of the stage."""
        return self.run / f"stage_{self.number}"

    @property
    def before(self) -> Path:
        """Weights that the stage before left."""
        return self.run / f"stage_{self.number - 1}" / "weights" / "v-express"

    @property
    def is_last(self) -> bool:
        """Whether no stage comes after this one."""
        return self.number == len(self.settings.stages)


def read_done(job: StageJob) -> dict[str, Any] | None:
    """What a finished stage reached; None for one that is not finished.

    Raises InputError when the file is damaged.
    """
    path = job.folder / "done.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}). Delete it to finish again.") from error
    return found


def vae_folder(settings: TrainSettings) -> Path:
    """Where the image autoencoder is: as set, or with the start weights."""
    if settings.vae is not None:
        return settings.vae
    if settings.start is None:
        raise SettingsError(
            "image autoencoder: expected `vae`, a diffusers folder of an AutoencoderKL or an "
            "AutoencoderTiny, found none."
        )
    return pretrained_in(settings.start, VAE) or settings.start / VAE
