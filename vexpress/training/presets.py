"""Complete settings: `full` is the published schedule, `tiny` goes through it in minutes."""

from typing import Any

from vexpress.training.settings import (
    DataSettings,
    EngineSettings,
    StageSettings,
    TrainSettings,
)

SPATIAL = ("reference_net", "denoising_spatial", "v_kps_guider")
TEMPORAL = ("audio_projection", "denoising_audio", "denoising_motion")


def first_stage(**changes: Any) -> StageSettings:
    """Pictures, one frame at a time."""
    base = StageSettings(
        number=1, trains=SPATIAL, zero_at_start=True, frames=1, batch=8, steps=40_000
    )
    return base.derive(**changes)


def second_stage(first: StageSettings, **changes: Any) -> StageSettings:
    """Sound and motion; strong conditions are dropped so that the sound must be used."""
    derived = {
        "number": 2,
        "trains": TEMPORAL,
        "frames": 20,
        "batch": 1,
        "steps": 75_000,
        "lip_weight": 100.0,
        "reference_drop": 0.2,
        "kps_drop": 0.5,
    }
    return first.derive(**{**derived, **changes})


def third_stage(second: StageSettings, **changes: Any) -> StageSettings:
    """Everything together, from exactly what stage 2 learned."""
    derived = {
        "number": 3,
        "trains": (*SPATIAL, *TEMPORAL),
        "zero_at_start": False,
        "frames": 8,
        "steps": 100_000,
    }
    return second.derive(**{**derived, **changes})


def full() -> TrainSettings:
    """The published model at 512x512, on GPUs."""
    first = first_stage(precision="bfloat16", gradient_checkpointing=True)
    second = second_stage(first)
    return TrainSettings(
        preset="full",
        data=DataSettings(loader_workers=4),
        stage_1=first,
        stage_2=second,
        stage_3=third_stage(second),
        engine=EngineSettings(gpu=True),
    )


def tiny() -> TrainSettings:
    """Random weights at 64x64 on a CPU: shows that everything works, not a likeness."""
    first = first_stage(batch=4, steps=200, learning_rate=1e-3)
    second = second_stage(first, frames=8, steps=200)
    return TrainSettings(
        preset="tiny",
        data=DataSettings(image_size=64, validation_share=0.2, validation_samples=4),
        stage_1=first,
        stage_2=second,
        stage_3=third_stage(second, learning_rate=3e-4, steps=100),
        engine=EngineSettings(save_every=50, validate_every=50),
    )


PRESETS = {"full": full, "tiny": tiny}
