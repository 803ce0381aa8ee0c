"""Options that several commands share, and how errors reach a person."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli.running import stopping


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
    typer.Option("--pick", help="Only the clips of a `vexpress pick`.", show_default=False),
]


def within(dataset: str, pick: str | None, where: str) -> str:
    """Return the condition on clips for `where` within a pick, where one is named."""
    if pick is None:
        return where
    from vexpress.schemas.dataset import Dataset
    from vexpress.tasks.curate.selections import within_selection

    return within_selection(Dataset(dataset), pick, where)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print errors that a person can act on as one message, and exit with 2."""
    from vexpress.errors import VExpressError

    try:
        yield
    except VExpressError as error:
        typer.secho(f"vexpress: {error}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        stopping.leave()
