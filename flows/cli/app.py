"""The `vexpress` command.

Each command lives in `flows/cli/<name>.py`, which is imported when it is asked for. Those files
import only what their options need; everything heavy is imported when the command runs, so that
help and `query` answer at once.
"""

import sys
from collections import UserDict
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperGroup

from vexpress.flows.cli.running import end_silently, stopping
from vexpress.flows.server.environment import set_defaults

COMMANDS = {
    "doctor": "doctor",
    "weights": "weights",
    "curate": "curate",
    "config": "config",
    "funnel": "funnel",
    "query": "query",
    "columns": "columns",
    "select": "select",
    "pick": "select",
    "report": "report",
    "retry": "curate",
    "extract-kps": "extract_kps",
    "train": "train",
    "export": "export",
    "pipeline": "pipeline",
    "up": "up",
    "down": "down",
    "evaluate": "evaluate",
    "generate": "generate",
    "generate-batch": "generate_batch",
}
"""File of each command, in the order of the help."""
OPTIONS: dict[str, dict[str, Any]] = {
    "pick": {"hidden": True},  # the name of `select` in version 0.1
    # The published command spells its parameters with underscores.
    "generate": {"context_settings": {"token_normalize_func": lambda word: word.replace("_", "-")}},
}


STRIPPED = (
    "python -OO (PYTHONOPTIMIZE=2) takes away the texts that help and settings are made of; run it "
    "without."
)


class Imported(UserDict[str, Any]):
    """The commands, each imported when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        """Return the command of a name."""
        module = import_module(f"vexpress.flows.cli.{self.data[name]}")
        alone = typer.Typer(rich_markup_mode="markdown", add_completion=False)
        function = getattr(module, name.replace("-", "_"))
        if isinstance(function, typer.Typer):  # it has commands of its own
            return typer.main.get_command(function)
        alone.command(name, **OPTIONS.get(name, {}))(function)
        return with_names(typer.main.get_command(alone))


def with_names(command: Any) -> Any:
    """Return the command; its help spells arguments as its texts do, in capitals."""
    for parameter in command.params:
        if isinstance(parameter, TyperArgument) and not parameter.metavar:
            parameter.metavar = str(parameter.name).upper()
    return command


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **given: Any) -> None:
        """`given`: what Typer gives it."""
        super().__init__(**given)
        self.commands = Imported(COMMANDS)

    def invoke(self, ctx: Any) -> Any:
        """Import and run the command that is asked for; what goes wrong is one message."""
        from vexpress.errors import RunError
        from vexpress.flows.cli.options import plain_errors

        with plain_errors():
            if sys.flags.optimize > 1:
                raise RunError(STRIPPED)
            return super().invoke(ctx)


app = typer.Typer(
    name="vexpress",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    help="Raw talking-head videos to a data set you can query, train on and generate from.",
    epilog="Start with `vexpress doctor`, then `vexpress curate VIDEOS DATASET`.",
)


def print_version(wanted: bool) -> None:
    """Print the version and leave, where that is asked for."""
    if wanted:
        from vexpress import __version__

        typer.echo(f"vexpress {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the command itself."""


def main() -> None:
    """Entry point of the `vexpress` script."""
    end_silently()
    set_defaults()
    stopping.watch()
    app()


if __name__ == "__main__":
    main()
