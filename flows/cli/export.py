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
    list = "list"
    vexpress_json = "vexpress-json"
    vexpress_weights = "vexpress-weights"
    videox_fun = "videox-fun"
    diffsynth = "diffsynth"
    latentsync = "latentsync"
    musetalk = "musetalk"
    hallo = "hallo"
    hallo3 = "hallo3"
    stableavatar = "stableavatar"
    talkverse = "talkverse"
    text_video = "text-video"


class Pairs(StrEnum):
    """What is paired with a clip."""

    person = "person"


def export(
    source: Annotated[str, typer.Argument(help="Data set; or training run (vexpress-weights).")],
    folder: Annotated[Path, typer.Argument(help="Where to write; made if absent.")],
    to: Annotated[
        Form,
        typer.Option(
            help="Tar shards of WebDataset; a folder for Hugging Face's `datasets`; a list of "
            "spans without media, for `vexpress curate` elsewhere; the training list of published "
            "V-Express; its five weight files; or what another trainer reads."
        ),
    ],
    where: Annotated[str, typer.Option(help="SQL condition on clips.")] = "",
    selection: SelectionOption = None,
    pick: FormerSelectionOption = None,
    validation: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of clips held out, whole persons."),
    ] = 0.1,
    shard_mb: Annotated[
        int, typer.Option(min=1, help="Size of a shard, megabytes (webdataset).")
    ] = 1000,
    text: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="What describes a clip, over its columns, such as `coalesce(caption, transcript)` "
            "(trainers); else a list's caption.",
            show_default=False,
        ),
    ] = None,
    pairs: Annotated[
        Pairs | None,
        typer.Option(
            help="Beside each clip a portrait of the same person from another video (trainers).",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            min=64, max=2048, help="Side of aligned faces, pixels (latentsync); else 256."
        ),
    ] = None,
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
    `licences.json`. An export for a trainer says how many clips are too short, too small or
    without speech for it, and a command line that reads it.

    Examples:

        vexpress export dataset/ shards/ --to webdataset --shard-mb 500

        vexpress export dataset/ folder/ --to hf --selection frontal --validation 0.05

        vexpress export dataset/ list/ --to list

        vexpress export dataset/ wan/ --to videox-fun --text "coalesce(caption, transcript)"

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
        elif to is Form.list:
            from vexpress.tasks.export.span_list import export_span_list

            typer.echo(export_span_list(dataset, folder, chosen))
        elif to is Form.vexpress_json:
            from vexpress.tasks.export.training_list import export_list

            typer.echo(export_list(dataset, folder, chosen))
        else:
            from vexpress.tasks.export.clips import USUAL_TEXT
            from vexpress.tasks.export.formats import TRAINERS
            from vexpress.tasks.export.trainer import export_for

            done = export_for(
                TRAINERS[to.value](size),
                dataset,
                folder,
                chosen,
                text=text or USUAL_TEXT,
                validation_share=validation,
                pairs=pairs is not None,
            )
            typer.echo("\n".join([str(done.folder), *done.said, done.command]))
