"""`vexpress generate-batch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.generate import Model
from vexpress.flows.cli.options import (
    DatasetArgument,
    EngineKind,
    EngineOption,
    WeightsOption,
    plain_errors,
)
from vexpress.flows.cli.running import FlowOption, run_as_flow

if TYPE_CHECKING:
    from vexpress.tasks.generate.generate_videos import GenerateReport


def generate_batch(
    requests: Annotated[
        str,
        typer.Argument(
            help="A table (.parquet, .csv, .jsonl, .sql), a folder of tables, or a query over "
            "the data set: `SELECT clip_id FROM kept`."
        ),
    ],
    dataset: DatasetArgument,
    weights: WeightsOption = None,
    preset: Annotated[
        Model, typer.Option(help="tiny: a small model with random weights, to try the command.")
    ] = Model.published,
    engine: EngineOption = EngineKind.local,
    workers: Annotated[
        int, typer.Option(min=1, help="Actors, each with the model resident (ray).")
    ] = 2,
    gpus_per_worker: Annotated[
        float, typer.Option(min=0, help="GPUs of each actor, also 0.25 (ray).")
    ] = 0,
    allow: Annotated[
        list[Path] | None,
        typer.Option(
            help="A folder that requests may read from, besides the table's own and the data set.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with settings.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="GROUP.KEY=VALUE",
            help="One setting, such as `parameters.steps=15` or `limits.sound_s=60`.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Make nothing when any request is rejected.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Try once more what failed in an earlier run.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made; make nothing.")
    ] = False,
    flow: FlowOption = False,
) -> None:
    """Make the portrait videos that a table asks for, each once.

    Columns: `reference`, `audio` (paths; relative ones count from the table's folder), or
    `clip_id` of the data set; `kps` or `video` to drive; `retarget`; `name`; and any parameter
    by its name: steps, seed, width, height, fps, guidance, …. A table that is wrong itself is
    refused; a request whose inputs do not do becomes a row with its reason.

    Examples:

        vexpress generate-batch requests.csv dataset/ --weights weights/ --engine ray

        vexpress generate-batch "SELECT clip_id FROM kept LIMIT 20" dataset/ --preset tiny

        vexpress query dataset/ "SELECT name, status, reason, out_path FROM generations"
    """
    with plain_errors():
        from vexpress.flows.generate_settings import load_generate_config

        loaded = load_generate_config(
            config,
            settings or [],
            {
                "model": {"preset": preset.value},
                "workers": {
                    "kind": engine.value,
                    "count": workers,
                    "gpus_per_worker": gpus_per_worker,
                },
                "allow": [str(folder.expanduser().absolute()) for folder in allow or ()],
                "strict": strict,
                "again": again,
            },
        )
        if dry_run:
            from vexpress.tasks.generate.estimate import describe_requests

            typer.echo(describe_requests(requests, dataset, loaded, weights))
            return
        if run_as_flow(flow):
            from vexpress.flows.generate import generate as work
        else:
            from vexpress.tasks.generate.generate_videos import generate_videos as work
        say(work(requests, dataset, loaded, str(weights) if weights else None), dataset)


def say(report: "GenerateReport", dataset: str) -> None:
    """Print what was made and what to look at."""
    typer.echo(
        f"{report.asked} requests: {report.made} videos made, {report.done_before} done before, "
        f"{report.rejected} rejected, {report.failed} failed"
        + (f", {report.equal} equal to others" if report.equal else "")
    )
    for reason, count in sorted(report.reasons.items()):
        typer.echo(f"  {count} {reason}")
    typer.echo(f"look at   {report.page}")
    typer.echo(f'ask       vexpress query {dataset} "SELECT * FROM generations"')
