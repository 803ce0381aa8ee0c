"""What a stage has measured, held against the rules of the next one's start."""

import pytest

from vexpress.errors import VExpressError
from vexpress.training.gates import check_gates
from vexpress.training.settings import GateSettings

MEASURED = {
    "held_out_loss_before": 0.5,
    "held_out_loss": 0.4,
    "audio_sensitivity": 0.02,
    "kps_sensitivity": 0.005,
}


def test_gates_hold_what_was_measured_against_the_rules() -> None:
    gates = {gate.name: gate for gate in check_gates(2, MEASURED, GateSettings())}
    assert gates["held_out_loss_ratio"].value == pytest.approx(0.8)
    assert gates["held_out_loss_ratio"].passed and gates["audio_sensitivity"].passed
    assert not gates["kps_sensitivity"].passed and gates["kps_sensitivity"].rule == "> 0.01"
    assert [gate.name for gate in check_gates(1, MEASURED, GateSettings())] == [
        "held_out_loss_ratio"
    ]


def test_a_loss_that_is_no_number_passes_no_gate() -> None:
    (gate,) = check_gates(1, {**MEASURED, "held_out_loss": float("nan")}, GateSettings())
    assert not gate.passed


def test_a_loss_that_was_lost_is_said_in_place_of_a_ratio() -> None:
    with pytest.raises(VExpressError, match=r"found 0 and 0\.4: .*stage_2/metrics\.jsonl"):
        check_gates(2, {**MEASURED, "held_out_loss_before": 0.0}, GateSettings())
