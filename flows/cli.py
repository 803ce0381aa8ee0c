"""The `vexpress` command.

Each command lives in `flows/commands/<name>.py`. Those files import only what their
options need; everything heavy is imported when the command runs, so that help and
`query` answer at once.
"""

import typer

from flows.commands.curate import curate, retry
from flows.commands.extract_kps import extract_kps
from flows.commands.query import query
from flows.commands.report import report

app = typer.Typer(
    name="vexpress",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    help="Raw talking-head videos to a data set you can query, train on and generate from.",
    epilog="Start with `vexpress doctor`, then `vexpress curate VIDEOS DATASET`.",
)
app.command()(curate)
app.command()(query)
app.command()(report)
app.command()(retry)
app.command("extract-kps")(extract_kps)


def main() -> None:
    """Entry point of the `vexpress` script."""
    app()


if __name__ == "__main__":
    main()
