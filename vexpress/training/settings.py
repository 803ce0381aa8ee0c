"""What a training run is told: the data, the stages, the gates, the machines.

Each stage is a complete configuration; `presets.py` has what it changes of the one before it.
A file of overrides names what differs from a preset.
"""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vexpress.errors import SettingsError

Part = Literal[
    "reference_net",
    "denoising_spatial",
    "denoising_audio",
    "denoising_motion",
    "v_kps_guider",
    "audio_projection",
]
LoggerName = Literal["tensorboard", "wandb"]
Rate = float | tuple[tuple[int, float], ...]
"""A number, or points (step, value) with straight lines between them."""


class Settings(BaseModel):
    """Frozen, no unknown keys, the docstring under a field is its description."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def derive(self, **changes: Any) -> Self:
        """Return these settings with some changed, checked again."""
        return type(self).model_validate({**self.model_dump(), **changes})


class DataSettings(Settings):
    """How samples are drawn from clips."""

    image_size: int = Field(512, ge=32, multiple_of=8)
    """Side of the square pictures, pixels."""
    reference_margin: int = Field(30, ge=1)
    """Least distance of the reference frame from the frames to predict, frames."""
    crop_scale: tuple[float, float] = (1.0, 1.0)
    """Share of the picture's area that a random crop keeps; 1 keeps square pictures whole."""
    crop_ratio: tuple[float, float] = (0.9, 1.0)
    """Width over height of a random crop."""
    flip: float = Field(0.5, ge=0, le=1)
    """Chance of a horizontal flip."""
    validation_share: float = Field(0.05, ge=0, lt=1)
    """Share of the sources (identities, where known) held out; 0 validates on training clips."""
    validation_samples: int = Field(8, ge=1)
    """Samples of a validation, at fixed noise and timesteps."""
    loader_workers: int = Field(0, ge=0)
    """Processes a training worker that prepare samples ahead; 0 prepares them in the worker."""


class StageSettings(Settings):
    """One stage, complete."""

    number: int = Field(ge=1)
    """Which stage, from 1."""
    trains: tuple[Part, ...]
    """The parts that learn; all others keep their weights."""
    zero_at_start: bool
    """Set the outputs of motion modules and of audio attention to zero before the first step."""
    frames: int = Field(ge=1)
    """Consecutive frames a sample."""
    batch: int = Field(ge=1)
    """Samples a worker and backward pass."""
    accumulate: int = Field(1, ge=1)
    """Backward passes a step."""
    steps: int = Field(ge=1)
    """Optimiser steps."""
    learning_rate: Rate = 1e-6
    """AdamW's step size; points make a warm-up or a decay."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's decay."""
    clip_norm: float = Field(1.0, gt=0)
    """Largest norm of the gradient of all parts together."""
    noise_offset: float = Field(0.05, ge=0)
    """Strength of the noise that is constant over a channel."""
    snr_gamma: float = Field(5.0, gt=0)
    """Cap of the signal-to-noise weight (min-SNR, arXiv:2303.09556)."""
    lip_weight: Rate = 1.0
    """Weight of the loss around the lips; 1 elsewhere."""
    unconditional: Rate = 0.1
    """Chance that a step of all workers sees no condition at all, 0..1."""
    reference_drop: Rate = 0.0
    """Chance that a frame does not see the reference, 0..1."""
    kps_drop: Rate = 0.0
    """Chance that a sample does not see its V-Kps, 0..1."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Arithmetic of the forward pass; weights and optimiser are float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    ema_decay: float | None = Field(None, gt=0, lt=1)
    """Decay of a moving average of the weights (EMA), exported beside them; null for none."""
    eight_bit_adam: bool = False
    """Keep AdamW's state in 8 bits (needs the package bitsandbytes and a GPU)."""

    @model_validator(mode="after")
    def _rates_are_shares(self) -> Self:
        for name in ("unconditional", "reference_drop", "kps_drop"):
            rate = getattr(self, name)
            values = [v for _, v in rate] if isinstance(rate, tuple) else [rate]
            if not values or not all(0 <= v <= 1 for v in values):
                raise ValueError(f"{name}: expected values between 0 and 1, found {rate}")
        return self


class GateSettings(Settings):
    """What a stage must reach before the next one starts; applied to stored numbers."""

    max_loss_ratio: float = Field(1.0, gt=0)
    """Held-out loss after the stage over that before it must be below this."""
    min_audio_sensitivity: float = Field(0.01, ge=0)
    """From stage 2 on: change of the prediction around the lips under another clip's sound,
    root mean square relative to the prediction's own; must be above this."""
    min_kps_sensitivity: float = Field(0.01, ge=0)
    """From stage 2 on: the same for another clip's V-Kps, in the whole picture."""


class EngineSettings(Settings):
    """Where a stage runs. None of it changes what is learned, but for `workers`."""

    kind: Literal["auto", "local", "ray"] = "auto"
    """`local`: this process; `ray`: Ray Train; `auto`: Ray for several workers or a cluster."""
    workers: int = Field(1, ge=1)
    """Training processes; each takes its stage's `batch` samples."""
    gpu: bool = False
    """One GPU a worker (NCCL); else CPU (gloo)."""
    cpus_per_worker: float = Field(1, gt=0)
    """CPU cores that Ray sets aside for a worker."""
    sharding: Literal["ddp", "fsdp"] = "ddp"
    """`ddp`: full weights in each worker; `fsdp`: fully sharded (torch FSDP2)."""
    max_failures: int = Field(2, ge=0)
    """How often lost workers are replaced, each time resuming from the last checkpoint."""
    save_every: int = Field(1000, ge=1)
    """Steps between checkpoints."""
    keep_last: int = Field(2, ge=1)
    """Checkpoints kept a stage."""
    validate_every: int = Field(1000, ge=1)
    """Steps between validations."""
    loggers: tuple[LoggerName, ...] = ()
    """Where numbers go besides the metrics log: `tensorboard` (`tensorboard --logdir RUN`),
    `wandb` (Weights & Biases); needs the package of that name."""


class TrainSettings(Settings):
    """A whole run."""

    preset: Literal["tiny", "full"] = "full"
    """Sizes of the networks where training starts from random weights."""
    seed: int = 42
    """Everything random follows from it."""
    where: str = ""
    """SQL condition on the clips of the data set."""
    start: Path | None = None
    """Folder of weights to start from: published V-Express, or Stable Diffusion with
    AnimateDiff; without it: random weights (tiny only)."""
    vae: Path | None = None
    """Diffusers folder of the image autoencoder; without it: the one in `start`."""
    data: DataSettings = DataSettings()
    """How samples are drawn."""
    stage_1: StageSettings
    """Pictures: denoising U-Net, reference net, V-Kps guider."""
    stage_2: StageSettings
    """Sound and motion."""
    stage_3: StageSettings
    """Everything together."""
    gates: GateSettings = GateSettings()
    """What a stage must reach."""
    engine: EngineSettings = EngineSettings()
    """Where it runs."""

    @model_validator(mode="after")
    def _stages_are_in_order(self) -> Self:
        for number, stage in enumerate(self.stages, 1):
            if stage.number != number:
                raise ValueError(f"stage_{number}.number: expected {number}, found {stage.number}")
        return self

    @model_validator(mode="after")
    def _sharding_fits_precision(self) -> Self:
        precisions = {stage.precision for stage in self.stages}
        if self.engine.sharding == "fsdp" and "float16" in precisions:
            raise ValueError("engine.sharding=fsdp: expected float32 or bfloat16, found float16")
        return self

    @property
    def stages(self) -> tuple[StageSettings, ...]:
        """All stages, in order."""
        return tuple(getattr(self, name) for name in STAGE_NAMES)

    def stage(self, number: int) -> StageSettings:
        """Return a stage by its number, from 1."""
        if not 1 <= number <= len(STAGE_NAMES):
            raise SettingsError(f"stage {number}: expected 1 to {len(STAGE_NAMES)}")
        return self.stages[number - 1]


STAGE_NAMES = tuple(name for name in TrainSettings.model_fields if name.startswith("stage_"))
"""The stages by the keys of their settings, in order; each is trained from the one before."""


def rate_at(rate: Rate, step: int) -> float:
    """Value of a rate at a step; outside its points the nearest one's value."""
    if not isinstance(rate, tuple):
        return float(rate)
    before = [point for point in rate if point[0] <= step]
    after = [point for point in rate if point[0] > step]
    if not before or not after:
        return (before[-1] if before else after[0])[1]
    (x0, y0), (x1, y1) = before[-1], after[0]
    return y0 + (y1 - y0) * (step - x0) / (x1 - x0)
