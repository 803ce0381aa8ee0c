"""`vexpress evaluate`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vexpress.flows.cli.options import (
    ConfigOption,
    DatasetArgument,
    EngineOption,
    WeightsOption,
    given,
    plain_errors,
    require_any,
)
from vexpress.flows.cli.running import FlowOption, run_as_flow
from vexpress.schemas.text import counted

if TYPE_CHECKING:
    from vexpress.tasks.evaluate_videos import EvaluateReport


def evaluate(
    dataset: DatasetArgument,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Only videos made by these weights: their name, or the start of their SHA-256.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting, such as `measure.identity=dlib`."
        ),
    ] = None,
    engine: EngineOption = None,
    weights: WeightsOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N videos.")] = None,
    flow: FlowOption = False,
) -> None:
    """Measure generated videos, and write a page with them side by side.

    How near the face is to the asked V-Kps, how much it looks like the reference, how sharp
    and how steady the pictures are, how lips and sound go together; FID and FVD where
    inception-2015-12-05.pt and i3d_torchscript.pt lie under --weights. What has numbers is
    not measured again.

    Examples:

        vexpress evaluate dataset/

        vexpress query dataset/ "SELECT metric, weights, mean FROM evaluation_summary"
    """
    with plain_errors():
        from vexpress.schemas.settings import load_settings
        from vexpress.tasks.evaluate.plan import EvaluateConfig

        options = {"engine": given(kind=engine)}
        loaded = load_settings(EvaluateConfig, file=config, options=options, single=settings or ())
        folder = str(weights) if weights else None
        if run_as_flow(flow):
            from vexpress.flows.evaluate import evaluate as work
        else:
            from vexpress.tasks.evaluate_videos import evaluate_videos as work
        say(work(dataset, loaded, folder, checkpoint, limit), dataset)


def say(report: "EvaluateReport", dataset: str) -> None:
    """Print the numbers by weights and what to look at."""
    from rich.console import Console
    from rich.table import Table

    from vexpress.schemas.dataset import Dataset
    from vexpress.schemas.query import connect
    from vexpress.tasks.reports.evaluation_page import summary_rows

    for note in report.notes:
        typer.echo(note)
    before = f"{report.videos_done_before} had their numbers before"
    broken = f", {report.failed} failed" if report.failed else ""
    typer.echo(f"{counted(report.videos, 'video')} measured ({before}{broken})")
    rows = summary_rows(connect(Dataset(dataset)))
    weights = sorted({(row["weights"], row["weights_sha256"]) for row in rows})
    table = Table("metric", "better", *(f"{name}\n{digest[:8]}" for name, digest in weights))
    for metric in dict.fromkeys(row["metric"] for row in rows):
        alike = [row for row in rows if row["metric"] == metric]
        cells = [", ".join(cell(r) for r in alike if r["weights_sha256"] == d) for _, d in weights]
        table.add_row(metric, alike[0]["better"], *cells)
    Console().print(table)
    typer.echo(f"look at   {report.report}")
    typer.echo(f'ask       vexpress query {dataset} "SELECT * FROM evaluation_summary"')
    require_any(report.failed, report.videos + report.videos_done_before, "videos")


def cell(row: dict[str, Any]) -> str:
    """Return the mean over videos, or why there is none."""
    from vexpress.tasks.reports.evaluation_page import number

    without = f" ({row['reasons']})" if row["reasons"] else ""
    return number(row["mean"], row["unit"]) + without
