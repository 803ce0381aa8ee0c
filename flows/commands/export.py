"""`vexpress export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import PickOption, plain_errors, within


class Form(StrEnum):
    """What can be written."""

    vexpress_json = "vexpress-json"
    vexpress_weights = "vexpress-weights"


def export(
    source: Annotated[
        str, typer.Argument(help="Data set (vexpress-json) or training run (vexpress-weights).")
    ],
    folder: Annotated[Path, typer.Argument(help="Where to write; made if absent.")],
    to: Annotated[
        Form,
        typer.Option(help="The training list of published V-Express, or its five weight files."),
    ],
    where: Annotated[str, typer.Option(help="SQL condition on clips (vexpress-json).")] = "",
    pick: PickOption = None,
    stage: Annotated[
        int | None,
        typer.Option(min=1, max=3, help="Stage (vexpress-weights); else the last finished."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Weights folder to copy autoencoder and audio encoder from."),
    ] = None,
) -> None:
    """Write a data set or a training run in the form that published V-Express reads.

    Examples:

        vexpress export dataset/ list/ --to vexpress-json --where "speech_share > 0.5"

        vexpress export run/ weights/ --to vexpress-weights --stage 2
    """
    with plain_errors():
        if to is Form.vexpress_json:
            from schemas.dataset import Dataset
            from tasks.export_list import export_list

            typer.echo(export_list(Dataset(source), folder, within(source, pick, where)))
        else:
            from tasks.export_weights import export_weights

            typer.echo(export_weights(Path(source), folder, stage, beside))
