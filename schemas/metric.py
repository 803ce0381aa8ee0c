"""What was measured while training. Table `training`, one row per number."""

from typing import ClassVar, Literal

from vexpress.schemas.row import Row


class TrainingMetric(Row):
    """One number of one step of one stage."""

    TABLE: ClassVar[str] = "training"

    run: str
    """Folder of the run."""
    stage: int
    """Number of the stage, from 1."""
    step: int
    """Optimiser steps done when it was measured; 0 is before the first."""
    kind: Literal["train", "validation", "gate"]
    """`train`: of a step; `validation`: on held-out clips; `gate`: at the end of the stage."""
    name: str
    """What was measured: `loss`, `held_out_loss`, `audio_sensitivity`, …"""
    value: float
    """The number."""
    rule: str | None = None
    """What a gate expected, such as `> 0.01`."""
    passed: bool | None = None
    """Whether a gate held."""
    at_s: float
    """When, seconds since 1970 UTC."""
