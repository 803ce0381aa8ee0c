"""`vexpress export`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli.options import FormerSelectionOption, SelectionOption, plain_errors, within


class Form(StrEnum):
    """What can be written."""

    webdataset = "webdataset"
    hf = "hf"
    vexpress_json = "vexpress-json"
    vexpress_weights = "vexpress-weights"


def export(
    source: Annotated[str, typer.Argument(help="Data set; or training run (vexpress-weights).")],
    folder: Annotated[Path, typer.Argument(help="Where to write; made if absent.")],
    to: Annotated[
        Form,
        typer.Option(
            help="Tar shards of WebDataset; a folder for Hugging Face's `datasets`; "
            "the training list of published V-Express; or its five weight files."
        ),
    ],
    where: Annotated[str, typer.Option(help="SQL condition on clips.")] = "",
    selection: SelectionOption = None,
    pick: FormerSelectionOption = None,
    validation: Annotated[
        float,
        typer.Option(
            min=0, max=0.9, help="Share of clips held out, whole persons (webdataset, hf)."
        ),
    ] = 0.1,
    shard_mb: Annotated[
        int, typer.Option(min=1, help="Size of a shard, megabytes (webdataset).")
    ] = 1000,
    stage: Annotated[
        int | None,
        typer.Option(min=1, help="Stage (vexpress-weights); else the last finished."),
    ] = None,
    beside: Annotated[
        Path | None,
        typer.Option(help="Weights folder to copy autoencoder and audio encoder from."),
    ] = None,
) -> None:
    """Write a data set or a training run for use elsewhere.

    An export that was stopped goes on where it was; files that are not its own are never
    touched. Every export of a data set says each clip's source and licence, and has
    `licences.json`.

    Examples:

        vexpress export dataset/ shards/ --to webdataset --shard-mb 500

        vexpress export dataset/ folder/ --to hf --selection frontal --validation 0.05

        vexpress export dataset/ list/ --to vexpress-json --where "speech_share > 0.5"

        vexpress export run/ weights/ --to vexpress-weights --stage 2
    """
    with plain_errors():
        if to is Form.vexpress_weights:
            from vexpress.tasks.export.weights import export_weights

            typer.echo(export_weights(Path(source), folder, stage, beside))
            return
        from vexpress.schemas.dataset import Dataset

        dataset, chosen = Dataset(source), within(source, selection or pick, where)
        if to is Form.webdataset:
            from vexpress.tasks.export.webdataset import export_webdataset

            typer.echo(
                export_webdataset(
                    dataset, folder, chosen, validation_share=validation, shard_mb=shard_mb
                )
            )
        elif to is Form.hf:
            from vexpress.tasks.export.huggingface import export_huggingface

            typer.echo(export_huggingface(dataset, folder, chosen, validation_share=validation))
        else:
            from vexpress.tasks.export.training_list import export_list

            typer.echo(export_list(dataset, folder, chosen))
