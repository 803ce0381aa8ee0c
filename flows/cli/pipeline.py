"""`vexpress pipeline`."""

from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli.options import DatasetArgument, Preset, WeightsOption, plain_errors
from vexpress.flows.cli.running import FlowOption, run_as_flow
from vexpress.flows.cli.train import TrainPreset


def pipeline(
    source: Annotated[str, typer.Argument(help="Videos, as for `vexpress curate`.")],
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of the training run.")],
    rules: Annotated[Preset, typer.Option(help="Thresholds of curation.")] = Preset.default,
    preset: Annotated[
        TrainPreset, typer.Option(help="`full`: published sizes, GPUs. `tiny`: minutes on a CPU.")
    ] = TrainPreset.full,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML: groups curate, train, gate, generate.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="GROUP.KEY=VALUE", help="Such as `gate.min_kept_minutes=1`."),
    ] = None,
    requests: Annotated[
        str | None, typer.Option(help="Table of requests to generate in the end.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Kept clips to generate and evaluate; 0: none.")
    ] = 4,
    weights: WeightsOption = None,
    deployments: Annotated[
        bool,
        typer.Option(
            "--deployments",
            help="Each step as a deployment of PREFECT_API_URL, whose workers see the same paths.",
        ),
    ] = False,
    flow: FlowOption = False,
) -> None:
    """From raw videos to a model trained on them and videos made with it, in one go.

    Curates, looks at what was kept, trains all stages, generates a few clips and measures
    them, and generates what is requested. Stop it as you like: given again, it goes on.

    Examples:

        vexpress pipeline videos/ dataset/ --out run/ --config pipeline.yaml

        vexpress pipeline videos/ dataset/ --out try/ --preset tiny --set gate.min_kept_minutes=1
    """
    with plain_errors():
        from vexpress.flows.pipeline_settings import load_groups, name_everywhere

        asked = {
            "source": source,
            "dataset": dataset,
            "run": str(out),
            **load_groups(rules.value, preset.value, config, settings or []),
            "requests": requests,
            "weights": str(weights) if weights else None,
            "sample": f"SELECT clip_id FROM kept ORDER BY clip_id LIMIT {sample}"
            if sample
            else None,
        }
        if run_as_flow(flow or deployments):
            from vexpress.flows.pipeline import pipeline as work
            from vexpress.flows.pipeline import require_server

            if deployments:
                require_server()
                asked = {**name_everywhere(asked), "place": "deployments"}
        else:
            from vexpress.tasks.pipeline import run_pipeline as work
        report = work(**asked)
    typer.echo(f"done      {', '.join(report.steps)}")
    typer.echo(f"kept      {report.gate.kept_minutes:.1f} minutes in {report.gate.clips} clips")
    typer.echo(f"weights   {report.weights}")
    typer.echo(f"look at   {dataset}/report.html, {out}/report.html")
