"""Options that several commands share, and how errors reach a person."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Preset(StrEnum):
    """Thresholds: `tasks/curate/presets/<name>.yaml`."""

    permissive = "permissive"
    default = "default"
    strict = "strict"


class EngineKind(StrEnum):
    """Where the work runs."""

    local = "local"
    ray = "ray"


WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        envvar="VEXPRESS_WEIGHTS",
        help="Folder with models: insightface/models/<pack>, wav2vec2-base-960h, …",
        show_default=False,
    ),
]
DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Folder or s3:// prefix of the data set.")
]
EngineOption = Annotated[
    EngineKind,
    typer.Option("--engine", help="`local`: this process; `ray`: actors, RAY_ADDRESS if set."),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file laid over the preset.", show_default=False),
]
SelectionOption = Annotated[
    str | None,
    typer.Option("--selection", help="Only the clips of a `vexpress select`.", show_default=False),
]


def _say_selection(name: str | None) -> str | None:
    if name is not None:
        typer.echo("`--pick` is called `--selection` now", err=True)
    return name


FormerSelectionOption = Annotated[
    str | None, typer.Option("--pick", hidden=True, callback=_say_selection)
]
"""The name of `--selection` in version 0.1."""


def within(dataset: str, selection: str | None, where: str) -> str:
    """Return the condition on clips for `where` within a selection, where one is named."""
    if selection is None:
        return where
    from vexpress.schemas.dataset import Dataset
    from vexpress.tasks.curate.selections import within_selection

    return within_selection(Dataset(dataset), selection, where)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print errors that a person can act on as one message, and exit with 2."""
    from vexpress.errors import VExpressError
    from vexpress.schemas.errors import VexpressDataError

    try:
        yield
    except (VexpressDataError, VExpressError) as error:
        typer.secho(f"vexpress: {error}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.secho("stopped; run the same command again to go on", fg="yellow", err=True)
        sys.exit(130)
