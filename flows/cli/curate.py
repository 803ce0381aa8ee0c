"""`vexpress curate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import (
    ConfigOption,
    DatasetArgument,
    EngineOption,
    PresetOption,
    WeightsOption,
    given,
    plain_errors,
    require_any,
)
from vexpress.flows.cli.running import FlowOption, run_as_flow
from vexpress.schemas.text import counted
from vexpress.tasks.curate.presets import USUAL

if TYPE_CHECKING:
    from vexpress.tasks.curate_dataset import CurateReport


def curate(
    source: Annotated[
        str,
        typer.Argument(
            help="Videos: a file, a folder (with all below it), a glob, or a list (.txt, .csv, "
            ".json, .jsonl, .parquet) of videos or of spans of videos; local or s3://. Only ever "
            "read."
        ),
    ],
    dataset: DatasetArgument,
    preset: PresetOption = USUAL,
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="STEP.KEY=VALUE", help="One setting, such as `keep.min_frames=50`."
        ),
    ] = None,
    engine: EngineOption = None,
    weights: WeightsOption = None,
    licence: Annotated[
        str | None, typer.Option(help="Licence note to record for the sources.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N sources.")] = None,
    root: Annotated[
        str | None,
        typer.Option(help="Folder of a list's videos; else its own.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would run and how long; do nothing.")
    ] = False,
    flow: FlowOption = False,
) -> None:
    """Turn raw videos into a data set of clips that can be trained on.

    Every segment of every video becomes a row, kept or rejected with its reason. A run that
    was stopped goes on where it was: give the same command again.

    A list may have a row per span: the columns path (or an id), start_s and end_s (or start_frame
    and end_frame), and if you like a face box, person, language, split, caption, licence and
    others. Only the spans are decoded. Lists of HDTF, CelebV-HQ, VFHQ, AVSpeech, TalkingHead-1KH
    and TalkVid are taken as they are published (docs/lists.md).

    Examples:

        vexpress curate videos/ dataset/

        vexpress curate talkvid.json dataset/ --root videos/

        vexpress curate videos/ dataset/ --preset strict --set keep.min_frames=125

        vexpress query dataset/ "SELECT * FROM funnel"
    """
    with plain_errors():
        from vexpress.tasks.curate.config import load_config

        loaded = load_config(preset, config, settings, {"engine": given(kind=engine)})
        folder = str(weights) if weights else None
        from vexpress.tasks.curate.chain import resolve

        resolve(loaded, weights)  # what cannot be had is said before anything starts
        if dry_run:
            from vexpress.tasks.curate.estimate import describe_plan

            typer.echo(describe_plan(source, dataset, loaded, weights, limit, root))
            return
        if run_as_flow(flow):
            from vexpress.flows.curate import curate as work
        else:
            from vexpress.tasks.curate_dataset import curate_dataset as work
        say(work(source, dataset, loaded, folder, licence, limit, root=root), dataset)


def retry(
    dataset: DatasetArgument,
    weights: WeightsOption = None,
    flow: FlowOption = False,
) -> None:
    """Run again what was rejected because something failed, with the last run's settings.

    What a rule rejected stays rejected; change the rule and run `curate` again for that.
    """
    with plain_errors():
        if run_as_flow(flow):
            from vexpress.flows.curate import retry as work
        else:
            from vexpress.tasks.curate_dataset import retry_failures as work
        say(work(dataset, str(weights) if weights else None), dataset)


def say(report: "CurateReport", dataset: str) -> None:
    """Print what was made and what to look at."""
    for note in report.notes:
        typer.echo(note)
    if not report.videos:
        typer.echo(f"nothing to do: {done_of(report.videos_done_before)}")
    else:
        typer.echo(
            f"{counted(report.videos, 'source')} ({report.videos_done_before:,} done before): "
            f"{counted(report.clips_kept, 'clip')} kept, "
            f"{counted(report.clips_rejected, 'candidate')} rejected"
        )
    typer.echo(f"the data set holds {report.kept_hours * 60:.1f} minutes of clips")
    typer.echo(f"look at   {report.report}")
    typer.echo(f'ask       vexpress query {dataset} "SELECT * FROM funnel"')
    if report.not_trainable and report.kept_hours:
        typer.echo(f"cannot be trained on yet: {report.not_trainable}")
    require_any(report.videos_failed, report.videos + report.videos_done_before, "sources")


def done_of(sources: int) -> str:
    """Say that there is nothing more to do with so many sources."""
    return "the source is done" if sources == 1 else f"all {sources:,} sources are done"
