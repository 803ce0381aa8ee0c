"""`vexpress generate-batch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import (
    ConfigOption,
    DatasetArgument,
    EngineOption,
    WeightsOption,
    given,
    plain_errors,
    require_any,
    setting,
)
from vexpress.flows.cli.running import FlowOption, run_as_flow
from vexpress.inference.settings import ModelChoice
from vexpress.schemas.settings import load_settings
from vexpress.schemas.text import counted
from vexpress.tasks.generate.config import GenerateConfig, Workers

if TYPE_CHECKING:
    from vexpress.tasks.generate_videos import GenerateReport


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
    preset: Annotated[str | None, setting(ModelChoice, "preset")] = None,
    engine: EngineOption = None,
    workers: Annotated[int | None, setting(Workers, "count", "--workers")] = None,
    gpus_per_worker: Annotated[float | None, setting(Workers, "gpus_per_worker")] = None,
    allow: Annotated[list[Path] | None, setting(GenerateConfig, "allow", "--allow")] = None,
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="GROUP.KEY=VALUE",
            help="One setting, such as `parameters.steps=15` or `limits.sound_s=60`.",
        ),
    ] = None,
    strict: Annotated[bool | None, setting(GenerateConfig, "strict", "--strict")] = None,
    again: Annotated[bool | None, setting(GenerateConfig, "again", "--again")] = None,
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
        options = given(
            model=given(preset=preset),
            workers=given(kind=engine, count=workers, gpus_per_worker=gpus_per_worker),
            allow=[str(folder.expanduser().absolute()) for folder in allow] if allow else None,
            strict=strict,
            again=again,
        )
        loaded = load_settings(GenerateConfig, file=config, options=options, single=settings or ())
        if dry_run:
            from vexpress.tasks.generate.estimate import describe_requests

            typer.echo(describe_requests(requests, dataset, loaded, weights))
            return
        if run_as_flow(flow):
            from vexpress.flows.generate import generate as work
        else:
            from vexpress.tasks.generate_videos import generate_videos as work
        say(work(requests, dataset, loaded, str(weights) if weights else None), dataset)


def say(report: "GenerateReport", dataset: str) -> None:
    """Print what was made and what to look at."""
    typer.echo(
        f"{counted(report.asked, 'request')}: {counted(report.made, 'video')} made, "
        f"{report.done_before:,} done before, "
        f"{report.rejected} rejected, {report.failed} failed"
        + (f", {report.equal} equal to others" if report.equal else "")
    )
    for reason, count in sorted(report.reasons.items()):
        typer.echo(f"  {count} {reason}")
    typer.echo(f"look at   {report.page}")
    typer.echo(f'ask       vexpress query {dataset} "SELECT * FROM generations"')
    failed = report.rejected + report.failed + report.failed_before
    require_any(failed, report.asked - report.equal, "requests")
