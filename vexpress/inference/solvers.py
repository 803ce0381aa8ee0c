"""Schedulers to choose from: `Solver` in settings.py."""

from typing import Any

from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from vexpress.inference.pipeline import published_scheduler
from vexpress.inference.settings import Solver


def make_scheduler(solver: Solver) -> Any:
    """A scheduler with the published noise schedule."""
    published = published_scheduler()
    if solver == Solver.DDIM:
        return published
    kinds = {Solver.UNIPC: UniPCMultistepScheduler, Solver.DPMPP: DPMSolverMultistepScheduler}
    shared = ("beta_start", "beta_end", "beta_schedule", "prediction_type", "timestep_spacing")
    values = {name: published.config[name] for name in shared}
    return kinds[solver](rescale_betas_zero_snr=True, **values)
