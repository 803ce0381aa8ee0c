"""`vexpress train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import (
    ConfigOption,
    FormerSelectionOption,
    SelectionOption,
    given,
    plain_errors,
    setting,
    within,
)
from vexpress.flows.cli.running import FlowOption, run_as_flow
from vexpress.training.settings import EngineSettings, TrainSettings

if TYPE_CHECKING:
    from vexpress.tasks.train_model import TrainReport


def train(
    dataset: Annotated[str, typer.Argument(help="Data set, or a V-Express training list (.json).")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; resumed if it is there.")],
    stages: Annotated[
        str | None,
        typer.Option(help="Which stages, such as `1,2`; else all.", show_default=False),
    ] = None,
    preset: Annotated[str | None, setting(TrainSettings, "preset")] = None,
    where: Annotated[
        str, typer.Option(help='SQL condition on clips, such as "speech_share > 0.5".')
    ] = "",
    selection: SelectionOption = None,
    pick: FormerSelectionOption = None,
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="GROUP.KEY=VALUE", help="One setting, such as `stage_2.steps=500`."
        ),
    ] = None,
    start: Annotated[Path | None, setting(TrainSettings, "start")] = None,
    vae: Annotated[Path | None, setting(TrainSettings, "vae")] = None,
    workers: Annotated[int | None, setting(EngineSettings, "workers")] = None,
    flow: FlowOption = False,
) -> None:
    """Train V-Express stage by stage, each with a gate before the next.

    A run that was stopped goes on from its last checkpoint: give the same command again.

    Examples:

        vexpress train dataset/ --out run/ --start weights/ --workers 8

        vexpress train dataset/ --out try/ --preset tiny --vae taesd/ --set data.validation_share=0

        vexpress query dataset/ "SELECT step, value FROM training WHERE name = 'loss'"
    """
    with plain_errors():
        from vexpress.flows.settings import load_train, parse_stages

        chosen = within(dataset, selection or pick, where) or None
        options = given(where=chosen, start=start, vae=vae, engine=given(workers=workers))
        loaded = load_train(preset, config, options, settings or [])
        if run_as_flow(flow):
            from vexpress.flows.train import train as work
        else:
            from vexpress.tasks.train_model import train_model as work
        wanted = None if stages is None else parse_stages(stages)
        say(work(dataset, str(out), loaded, wanted))


def say(report: "TrainReport") -> None:
    """Print what each stage reached and where to look."""
    for number, gates in report.gates.items():
        state = "trained" if number in report.stages else "finished before"
        found = ", ".join(f"{gate.name} {gate.value:.4g} ({gate.rule})" for gate in gates)
        typer.echo(f"stage {number} {state}: {found}")
    if report.weights:
        typer.echo(f"weights   {report.weights}")
    typer.echo(f"look at   {report.report}")
