"""`vexpress doctor`."""

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import WeightsOption
from vexpress.tasks.generate.config import EngineKind

if TYPE_CHECKING:
    from vexpress.flows.cli.checks.check import Check

COLOURS = {"ok": "green", "missing": "red", "not needed": "dim"}


def doctor(
    weights: WeightsOption = None,
    engine: Annotated[EngineKind, typer.Option(help="The engine that is to run.")] = "local",
    gpu: Annotated[bool, typer.Option("--gpu", help="The work is to run on a GPU.")] = False,
    dataset: Annotated[
        str | None, typer.Option(help="The data set that is to be written.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine has, what is missing and how to get it.

    Exits with 0 when the configuration asked about can curate, with 1 when it cannot.
    Nothing is downloaded, started or written.

    Examples:

        vexpress doctor

        vexpress doctor --gpu --engine ray --weights models/ --dataset s3://bucket/talks
    """
    from vexpress.flows.cli.checks.check import Setup
    from vexpress.flows.cli.checks.diagnose import examine, verdict

    folder = weights.expanduser() if weights else None
    setup = Setup(weights=folder, engine=engine, gpu=gpu, dataset=dataset)
    checks = examine(setup)
    can_run, sentence = verdict(setup, checks)
    if as_json:
        print_json(checks, can_run, sentence)
    else:
        print_table(checks)
        typer.secho(sentence, fg="green" if can_run else "red")
    raise typer.Exit(0 if can_run else 1)


def print_json(checks: "list[Check]", can_run: bool, sentence: str) -> None:
    """Print lines and verdict as one object."""
    answer = {"can_run": can_run, "sentence": sentence, "checks": [asdict(c) for c in checks]}
    typer.echo(json.dumps(answer, indent=1))


def print_table(checks: "list[Check]") -> None:
    """Print one row a check; long texts wrap, nothing is left out."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_lines=False, pad_edge=False)
    for column in ("what", "state", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for check in checks:
        state = Text(check.state, style=COLOURS[check.state])
        table.add_row(Text(check.name), state, Text(check.found), Text(check.todo))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
