"""`vexpress report`."""

import typer

from vexpress.flows.cli.options import DatasetArgument, plain_errors


def report(dataset: DatasetArgument) -> None:
    """Write a page to look at: funnel, reasons, scores, contact sheets, settings.

    It needs no network and no server: open it from disk, print it, send it to somebody.

    Example:

        vexpress report dataset/
    """
    from vexpress.schemas.dataset import Dataset
    from vexpress.tasks.reports.dataset_page import write_report

    data = Dataset(dataset)
    with plain_errors():
        written = write_report(data)
    for name in (written.page, *written.sheets):
        typer.echo(data.uri(name))
