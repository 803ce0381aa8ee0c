"""Which model makes a video and how it is sampled. The defaults are the published command's.

This file imports nothing heavy: the command line shows what it says.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vexpress.errors import SettingsError
from vexpress.inference.windows import check_window

ModelPreset = Literal["published", "tiny"]
Dtype = Literal["auto", "fp32", "fp16", "bf16"]
Memory = Literal["normal", "low"]


class Solver(StrEnum):
    """Name of a scheduler. Fewer steps with a better one give nearly the same video."""

    DDIM = "ddim"
    """The published one."""
    UNIPC = "unipc"
    DPMPP = "dpmpp"


FAST: dict[str, Any] = {"steps": 12, "guidance_share": 0.5, "reuse_every": 2}
"""What the choice `fast` changes, with FAST_SOLVER: approximate. Its error with
random weights is in benchmarks/README.md; with trained ones it was not measured."""
FAST_SOLVER = Solver.UNIPC


class Sampling(BaseModel):
    """Parameters of the denoising loop.

    `guidance_share` below 1 and `reuse_every` above 1 are approximate: faster, and not
    quite the same video. Everything else is exact.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    steps: int = Field(25, ge=1, le=1000)
    """Denoising steps."""
    guidance: float = Field(3.5, ge=0, allow_inf_nan=False)
    """Strength of classifier-free guidance; up to 1 there is none, and half the work."""
    reference_weight: float = Field(0.95, ge=0, le=10)
    """Weight of reference attention; useful from 0.9 to 1.0."""
    audio_weight: float = Field(3.0, ge=0, le=10)
    """Weight of audio attention; useful from 1.0 to 3.0."""
    window: int = Field(24, ge=1)
    """Frames that are denoised together."""
    overlap: int = Field(4, ge=0)
    """Frames that a window shares with the next."""
    windows_per_batch: int = Field(1, ge=1)
    """Windows that go through the U-Net at once; more need more memory."""
    memory: Memory = "normal"
    """low: networks wait on the CPU, features are computed anew at every step, one frame
    is decoded at a time."""
    guidance_share: float = Field(1.0, ge=0, le=1)
    """Share of the steps, from the first on, that use guidance; below 1 is approximate."""
    reuse_every: int = Field(1, ge=1)
    """Compute the inner layers in every n-th step and reuse them between (DeepCache,
    arXiv:2312.00858), of as many windows as fit into 4 GiB; above 1 is approximate."""

    @model_validator(mode="after")
    def _windows_make_sense(self) -> Self:
        try:
            check_window(self.window, self.overlap)
        except SettingsError as error:
            raise ValueError(f"window, overlap: {error}") from error
        return self

    def guides(self, step: int) -> bool:
        """Whether step number `step` uses guidance."""
        return self.guidance > 1 and step < self.guidance_share * self.steps

    def reuses(self, step: int) -> bool:
        """Whether step number `step` reuses inner layers of the step before."""
        return step % self.reuse_every != 0


class ModelChoice(BaseModel):
    """Which model makes the videos."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    preset: ModelPreset = "published"
    """`published`: V-Express's layout, downloaded or trained here. `tiny`: a small model with
    random weights, which only shows that everything runs."""
    dtype: Dtype = "auto"
    """Number format; `auto`: fp16 on a GPU, else fp32."""
    solver: Solver = Solver.DDIM
    """`unipc` and `dpmpp` need fewer `steps`."""
    preview_vae: str | None = None
    """Folder of a tiny autoencoder (taesd) to decode previews with."""
    face_model: str = "buffalo_l"
    """insightface pack that finds the faces, by name or folder; dlib where it is not at hand."""

    def absolute(self) -> Self:
        """Return it with folders that mean the same to processes that start in another."""
        given = {"preview_vae": self.preview_vae, "face_model": self.face_model}
        folders = {name: Path(text).expanduser() for name, text in given.items() if text}
        here = {name: str(path.absolute()) for name, path in folders.items() if path.is_dir()}
        return self.model_copy(update=here)
