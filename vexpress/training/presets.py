"""Complete settings: `full` is the published schedule, `tiny` goes through it in minutes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vexpress.training.settings import (
    DataSettings,
    EngineSettings,
    StageSettings,
    TrainSettings,
)

SPATIAL = ("reference_net", "denoising_spatial", "v_kps_guider")
TEMPORAL = ("audio_projection", "denoising_audio", "denoising_motion")


@dataclass(frozen=True)
class StagePreset:
    """What a stage changes of the settings of the stage before it."""

    changes: Mapping[str, Any]
    """In every preset."""
    full: Mapping[str, Any] = field(default_factory=dict)
    """In the preset `full` besides."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """In the preset `tiny` besides."""


STAGES = (
    StagePreset(  # pictures, one frame at a time
        {"trains": SPATIAL, "zero_at_start": True, "frames": 1, "batch": 8, "steps": 40_000},
        full={"precision": "bfloat16", "gradient_checkpointing": True},
        tiny={"batch": 4, "steps": 200, "learning_rate": 1e-3},
    ),
    StagePreset(  # sound and motion; strong conditions are dropped so that the sound must be used
        {
            "trains": TEMPORAL,
            "frames": 20,
            "batch": 1,
            "steps": 75_000,
            "lip_weight": 100.0,
            "reference_drop": 0.2,
            "kps_drop": 0.5,
        },
        tiny={"frames": 8, "steps": 200},
    ),
    StagePreset(  # everything together, from exactly what stage 2 learned
        {
            "trains": (*SPATIAL, *TEMPORAL),
            "zero_at_start": False,
            "frames": 8,
            "steps": 100_000,
        },
        tiny={"learning_rate": 3e-4, "steps": 100},
    ),
)
"""The stages in order: `stage_1` and so on of TrainSettings, which has a field for each."""


def full() -> TrainSettings:
    """The published model at 512x512, on GPUs."""
    return TrainSettings(
        preset="full",
        data=DataSettings(loader_workers=4),
        engine=EngineSettings(gpu=True),
        **_stages([{**stage.changes, **stage.full} for stage in STAGES]),
    )


def tiny() -> TrainSettings:
    """Random weights at 64x64 on a CPU: shows that everything works, not a likeness."""
    return TrainSettings(
        preset="tiny",
        data=DataSettings(image_size=64, validation_share=0.2, validation_samples=4),
        engine=EngineSettings(save_every=50, validate_every=50),
        **_stages([{**stage.changes, **stage.tiny} for stage in STAGES]),
    )


def _stages(changes: list[dict[str, Any]]) -> dict[str, StageSettings]:
    """Settings of the stages by their keys, from what each changes of the one before."""
    values: dict[str, Any] = {}
    stages = {}
    for number, changed in enumerate(changes, 1):
        values |= {**changed, "number": number}
        stages[f"stage_{number}"] = StageSettings(**values)
    return stages


PRESETS = {"full": full, "tiny": tiny}
