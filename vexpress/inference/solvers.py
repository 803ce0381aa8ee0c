"""Schedulers to choose from. `ddim` is the published one; the others need fewer steps.

Fewer steps with a better solver give nearly the same video: approximate.
"""

from enum import StrEnum
from typing import Any

from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from vexpress.inference.pipeline import published_scheduler


class Solver(StrEnum):
    """Name of a scheduler."""

    DDIM = "ddim"
    UNIPC = "unipc"
    DPMPP = "dpmpp"


def make_scheduler(solver: Solver) -> Any:
    """A scheduler with the published noise schedule."""
    published = published_scheduler()
    if solver == Solver.DDIM:
        return published
    kinds = {Solver.UNIPC: UniPCMultistepScheduler, Solver.DPMPP: DPMSolverMultistepScheduler}
    shared = ("beta_start", "beta_end", "beta_schedule", "prediction_type", "timestep_spacing")
    values = {name: published.config[name] for name in shared}
    return kinds[solver](rescale_betas_zero_snr=True, **values)
