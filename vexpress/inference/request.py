"""What can be asked of `vexpress generate`: inputs, and how the video shall be."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from vexpress.faces.strategy import Strategy
from vexpress.inference.settings import Sampling


class VideoSettings(BaseModel):
    """How the video shall be, apart from the denoising loop."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    strategy: Strategy = Strategy.FIX_FACE
    """How driving points become the reference's. `fix_face`: a still head. `no_retarget`: the same
    person in both. `offset_retarget`: slight motion. `naive_retarget`: as published.
    `similarity_retarget`: another person's motion, kept in the frame."""
    width: int = Field(512, ge=64, le=4096)
    """Width of the video, pixels."""
    height: int = Field(512, ge=64, le=4096)
    """Height of the video, pixels."""
    fps: float = Field(25.0, gt=0, le=120)
    """Frames a second of the video."""
    seed: int = 42
    """Seed of the initial noise."""
    auto_crop: bool = False
    """Crop the picture around the face as recommended."""
    median: bool = True
    """Filter against flicker, as published."""
    preview: bool = False
    """Decode with the tiny autoencoder: approximate."""


class Request(VideoSettings):
    """A video to make."""

    reference: Path
    """Portrait of the person."""
    audio: Path
    """Sound that the person shall speak; any format, also a video's."""
    out: Path
    """The MP4 to write."""
    kps: Path | None = None
    """Driving points, kps.pth."""
    kps_fps: float | None = Field(None, gt=0, le=1000)
    """Frames a second of the driving points, where no kps.pth.json beside them tells."""
    video: Path | None = None
    """Driving video, whose points are found here."""
    published_length: bool = False
    """Cut to whole windows, with the frame rate stretched so that the sound fits, as published."""
    sampling: Sampling = Sampling()
    """Parameters of the denoising loop."""
