"""`vexpress funnel`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import ConfigOption, DatasetArgument, plain_errors
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.text import counted
from vexpress.tasks.curate.presets import PRESETS, USUAL

if TYPE_CHECKING:
    from vexpress.tasks.reports.what_if import Comparison


def funnel(
    dataset: DatasetArgument,
    preset: Annotated[
        str | None,
        typer.Option(
            metavar=f"[{'|'.join(PRESETS)}]",
            help="Thresholds to try; all presets where nothing is said.",
        ),
    ] = None,
    config: ConfigOption = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="keep.KEY=VALUE", help="One threshold, as `keep.min_frames=50`."
        ),
    ] = None,
) -> None:
    """Show what other thresholds would keep, and why not the rest.

    From the scores that every candidate has: no video is opened and nothing is computed, so
    try as many as you like. `vexpress curate` with the thresholds you choose makes them so.

    Examples:

        vexpress funnel dataset/

        vexpress funnel dataset/ --preset strict --set keep.max_yaw_p90_deg=20
    """
    from vexpress.schemas.dataset import Dataset
    from vexpress.tasks.curate.config import load_config
    from vexpress.tasks.reports.what_if import compare

    with plain_errors():
        require_thresholds(settings or [])
        changed = bool(config or settings)
        names = [preset] if preset else [USUAL] if changed else PRESETS
        sets = {
            f"{name}{' changed' if changed else ''}": load_config(name, config, settings).keep
            for name in names
        }
        say(compare(Dataset(dataset), sets))


def require_thresholds(settings: list[str]) -> None:
    """Raise ConfigError where a setting is no threshold: other clips would have to be made."""
    for setting in settings:
        if not setting.strip().startswith("keep."):
            raise ConfigError(
                f"--set {setting}: expected a threshold, such as keep.min_frames=50; what else is "
                "set makes other clips and scores. See it with: vexpress curate … --dry-run"
            )


def say(comparison: "Comparison") -> None:
    """Print the table and what it does not know."""
    from vexpress.flows.cli.query import print_table
    from vexpress.tasks.reports.reasons import NOT_MEASURED, explain
    from vexpress.tasks.reports.what_if import Sum

    rows: list[tuple[object, ...]] = []
    for verdict in comparison.verdicts:
        found = [sums.get(verdict, Sum()) for sums in comparison.sums.values()]
        note = "" if verdict == "kept" else explain(verdict)
        rows.append((verdict, *(f"{s.clips:,} ({s.seconds / 60:,.1f} min)" for s in found), note))
    print_table(["verdict", *comparison.sums, "what it means"], rows)
    missed = {name: sums.get(NOT_MEASURED, Sum()) for name, sums in comparison.sums.items()}
    for name, lost in missed.items():
        if lost.clips:
            typer.echo(
                f"{name}: {counted(lost.clips, 'candidate')} did not pass the pre-filter of the "
                "last run; to measure them: vexpress curate with --set pre_filter.…"
            )
    for name, columns in comparison.unknown.items():
        for column, count in columns.items():
            typer.echo(
                f"{name}: {column} is not known of {counted(count, 'clip')}, which it lets pass"
            )
