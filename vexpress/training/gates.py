"""What a stage must have reached before the next one starts."""

from vexpress.errors import VExpressError
from vexpress.training.settings import GateSettings, Settings


class Gate(Settings):
    """One condition for the next stage to start."""

    name: str
    """What was measured."""
    value: float
    """What was found."""
    rule: str
    """What was expected."""
    passed: bool
    """Whether it holds."""


def check_gates(number: int, found: dict[str, float], gates: GateSettings) -> list[Gate]:
    """Apply the rules to the numbers of a stage. Raises VExpressError where a loss is lost."""
    before, after = found["held_out_loss_before"], found["held_out_loss"]
    if not before or not after:
        raise VExpressError(
            f"stage {number}: expected the held-out loss before and after it, found {before:g} and "
            f"{after:g}: they were not in stage_{number}/metrics.jsonl. Put that file back and "
            "delete done.json beside it to finish the stage again, or start a new run from "
            f"stage_{number}/weights."
        )
    rules = [("held_out_loss_ratio", after / before, "<", gates.max_loss_ratio)]
    if number > 1:
        rules += [
            ("audio_sensitivity", found["audio_sensitivity"], ">", gates.min_audio_sensitivity),
            ("kps_sensitivity", found["kps_sensitivity"], ">", gates.min_kps_sensitivity),
        ]
    return [
        Gate(
            name=name,
            value=value,
            rule=f"{sign} {bound:g}",
            passed=value < bound if sign == "<" else value > bound,  # false for NaN
        )
        for name, value, sign, bound in rules
    ]
