"""`vexpress report`."""

import typer

from flows.commands.options import DatasetArgument, plain_errors


def report(dataset: DatasetArgument) -> None:
    """Write a page to look at: funnel, reasons, scores, contact sheets, settings.

    It needs no network and no server: open it from disk, print it, send it to somebody.

    Example:

        vexpress report dataset/
    """
    from flows.report import write_report
    from schemas.dataset import Dataset

    data = Dataset(dataset)
    with plain_errors():
        written = write_report(data)
    for name in (written.page, *written.sheets):
        typer.echo(data.uri(name))
