"""`vexpress pipeline`."""

from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli.options import (
    ConfigOption,
    DatasetArgument,
    PresetOption,
    WeightsOption,
    plain_errors,
    setting,
    tell,
)
from vexpress.flows.cli.running import FlowOption, run_as_flow
from vexpress.schemas.settings import choices
from vexpress.tasks.curate.presets import USUAL
from vexpress.training.settings import TrainSettings

SIZES = choices(TrainSettings.model_fields["preset"].annotation)


def pipeline(
    source: Annotated[str, typer.Argument(help="Videos, as for `vexpress curate`.")],
    dataset: DatasetArgument,
    out: Annotated[Path, typer.Option("--out", help="Folder of the training run.")],
    preset: PresetOption = USUAL,
    train_preset: Annotated[str | None, setting(TrainSettings, "preset", "--train-preset")] = None,
    rules: Annotated[str | None, typer.Option(hidden=True)] = None,
    config: ConfigOption = None,
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

        vexpress pipeline videos/ dataset/ --out try/ --train-preset tiny --preset permissive
    """
    with plain_errors():
        from vexpress.flows.settings import load_pipeline

        thresholds, sizes = named_presets(preset, train_preset, rules)
        groups = load_pipeline(thresholds, sizes, config, settings or [])
        asked = {
            "source": source,
            "dataset": dataset,
            "run": str(out),
            **dict(groups),
            "requests": requests,
            "weights": str(weights) if weights else None,
            "sample": f"SELECT clip_id FROM kept ORDER BY clip_id LIMIT {sample}"
            if sample
            else None,
        }
        if run_as_flow(flow or deployments):
            from vexpress.flows.pipeline import name_everywhere, require_server
            from vexpress.flows.pipeline import pipeline as work

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


def named_presets(
    preset: str, train_preset: str | None, rules: str | None
) -> tuple[str, str | None]:
    """Return the presets of curation and of training, also as version 0.1 called them."""
    if preset in SIZES:
        tell(f"`--preset {preset}` is called `--train-preset {preset}` now")
        preset, train_preset = USUAL, preset
    if rules:
        tell(f"`--rules {rules}` is called `--preset {rules}` now")
        preset = rules
    return preset, train_preset
