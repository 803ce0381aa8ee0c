"""Options that several commands share, and how errors reach a person."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vexpress.flows.cli.running import stopping
from vexpress.flows.cli.sentences import sentence
from vexpress.schemas.settings import choices
from vexpress.schemas.text import for_terminal
from vexpress.tasks.curate.presets import PRESETS
from vexpress.tasks.generate.config import Workers


def setting(
    model: type[BaseModel], name: str, *flags: str, panel: str | None = None, metavar: str = ""
) -> Any:
    """Return the option of a setting: its text, choices and default are those of the model.

    The option itself is None where it is not given.
    """
    field = model.model_fields[name]
    allowed = [str(choice) for choice in choices(field.annotation)]
    return typer.Option(
        *flags,
        help=" ".join((field.description or "").split()),
        metavar=metavar or (f"[{'|'.join(allowed)}]" if allowed else None),
        autocompletion=(lambda: allowed) if allowed else None,
        show_default=_shown(field),
        rich_help_panel=panel,
    )


def _shown(field: FieldInfo) -> str | bool:
    """The default as help shows it: nothing for what is required or left out."""
    nothing = field.is_required() or field.default in (None, False, ())
    return False if nothing else str(field.default)


def given(**values: Any) -> dict[str, Any]:
    """Return the options that were given a value."""
    return {name: value for name, value in values.items() if value is not None}


WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        envvar="VEXPRESS_WEIGHTS",
        help="Folder with models: insightface/models/PACK, wav2vec2-base-960h, …",
        show_default=False,
    ),
]
DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Folder or s3:// prefix of the data set.")
]
EngineOption = Annotated[str | None, setting(Workers, "kind", "--engine")]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="YAML file laid over the preset; `vexpress config` prints a whole one.",
        show_default=False,
    ),
]
PresetOption = Annotated[
    str,
    typer.Option(
        "--preset",
        metavar=f"[{'|'.join(PRESETS)}]",
        autocompletion=lambda: list(PRESETS),
        help="Thresholds to start from.",
    ),
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


def tell(note: str) -> None:
    """Print a note beside the answer."""
    typer.secho(for_terminal(f"note: {note}"), fg="yellow", err=True)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Print errors that a person can act on as one message, and exit with 2."""
    try:
        yield
    except KeyboardInterrupt:
        stopping.leave()
    except Exception as error:
        if stopping.asked:  # DuckDB, asked to stop, raises a RuntimeError
            stopping.leave()
        said = sentence(error)
        if said is None:
            raise
        typer.secho(for_terminal(f"vexpress: {said}"), fg="red", err=True)
        sys.exit(2)


ALL_FAILED = 3
"""Exit code of a run that ended, and of which nothing can be used."""


def require_any(failed: int, asked: int, what: str) -> None:
    """Leave with `ALL_FAILED` where all of what was asked for failed."""
    if asked and failed >= asked:
        typer.secho(f"vexpress: all {asked} {what} failed", fg="red", err=True)
        sys.exit(ALL_FAILED)
