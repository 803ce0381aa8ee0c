"""The `vexpress` command.

Each command lives in `flows/commands/<name>.py`. Those files import only what their
options need; everything heavy is imported when the command runs, so that help and
`query` answer at once.
"""

import typer

app = typer.Typer(
    name="vexpress",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
)


def main() -> None:
    """Entry point of the `vexpress` script."""
    app()


if __name__ == "__main__":
    main()
