"""How a video is sampled. The defaults are the published command's."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vexpress.inference.windows import check_window

Memory = Literal["normal", "low"]
FAST: dict[str, Any] = {"steps": 12, "guidance_share": 0.5, "reuse_every": 2}
"""What the choice `fast` changes, with the solver UniPC: approximate. Its error with
random weights is in benchmarks/README.md; with trained ones it was not measured."""


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
    """Compute the inner layers in every so-manieth step and reuse them between (DeepCache,
    arXiv:2312.00858), of as many windows as fit into 4 GiB; above 1 is approximate."""

    @model_validator(mode="after")
    def _windows_make_sense(self) -> Self:
        check_window(self.window, self.overlap)
        return self

    def guides(self, step: int) -> bool:
        """Whether step number `step` uses guidance."""
        return self.guidance > 1 and step < self.guidance_share * self.steps

    def reuses(self, step: int) -> bool:
        """Whether step number `step` reuses inner layers of the step before."""
        return step % self.reuse_every != 0
