"""Settings of batch generation: the model, the workers, the limits, the parameters."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from vexpress.faces.strategy import Strategy
from vexpress.inference.request import VideoSettings
from vexpress.inference.settings import ModelChoice, Sampling
from vexpress.schemas.model import Model

EngineKind = Literal["local", "ray"]


class Parameters(VideoSettings, Sampling):
    """How a video shall be. A request may give any of these in a column of that name."""

    strategy: Strategy | None = None  # type: ignore[assignment]
    """How driving points become the reference's. None: `fix_face` without driving points,
    `no_retarget` for a clip's own picture, else `similarity_retarget`."""

    @property
    def sampling(self) -> Sampling:
        """The parameters of the denoising loop."""
        return Sampling(**self.model_dump(include=set(Sampling.model_fields)))

    def settings(self, strategy: Strategy) -> VideoSettings:
        """Return all others, with the strategy that was decided on."""
        names = set(VideoSettings.model_fields) - {"strategy"}
        return VideoSettings(strategy=strategy, **self.model_dump(include=names))


class Workers(Model):
    """Who makes the videos."""

    kind: EngineKind = "local"
    """`local`: this process. `ray`: actors, on this machine or the cluster of RAY_ADDRESS."""
    count: int = Field(2, ge=1, le=1000)
    """Actors, each with the model resident (ray)."""
    gpus_per_worker: float = Field(0, ge=0)
    """GPUs, also fractions such as 0.25, of each actor (ray); 0: none."""
    cpus_per_worker: float = Field(1, gt=0)
    """CPU cores that Ray sets aside for each actor."""
    attempts: int = Field(3, ge=1, le=20)
    """Workers a request may cost, by dying on it, before it is given up as `crashed`."""
    shard_requests: int = Field(25, ge=1)
    """Requests a task run; long tables have longer shards, so that there are tens."""


class Limits(Model):
    """What a request may ask at most; more is rejected, before it is decoded."""

    sound_s: float = Field(600, gt=0)
    """Longest sound, seconds."""
    picture_mb: float = Field(64, gt=0)
    """Largest file of a portrait, megabytes."""
    picture_megapixels: float = Field(64, gt=0)
    """Largest portrait, millions of pixels."""
    media_mb: float = Field(2000, gt=0)
    """Largest sound or driving video, megabytes."""
    video_pixels: int = Field(1 << 20, ge=4096)
    """Most pixels of a picture of the video asked for: width x height."""


class GenerateConfig(Model):
    """Everything about a run but the requests and the data set."""

    model: ModelChoice = ModelChoice()
    """The model."""
    parameters: Parameters = Parameters()
    """What holds for requests that do not say otherwise."""
    workers: Workers = Workers()
    """Who makes the videos."""
    limits: Limits = Limits()
    """What a request may ask at most."""
    allow: tuple[str, ...] = ()
    """Folders that requests may read from, besides the table's own and the data set."""
    strict: bool = False
    """Make nothing at all when any request is rejected beforehand."""
    again: bool = False
    """Try once more what failed in an earlier run (not what was rejected)."""

    @model_validator(mode="after")
    def _folders_are_absolute(self) -> "GenerateConfig":
        for folder in self.allow:
            if not Path(folder).expanduser().is_absolute():
                raise ValueError(f"allow: expected an absolute path, found {folder!r}")
        return self
