"""`vexpress down`."""

import typer

from flows.commands.options import plain_errors
from flows.commands.up import STATE, StateOption


def down(state: StateOption = STATE) -> None:
    """Stop what `vexpress up` started, and nothing else, also after a crash.

    Runs that are under way are stopped and go on when they are run again. Data sets, the
    server's history and schedules stay.

    Example:

        vexpress down
    """
    from flows.embedded import prepare

    prepare(quiet=False)
    with plain_errors():
        from flows.stack import down as stop

        if not stop(state.expanduser(), typer.echo):
            typer.echo(f"nothing to stop: no stack was started with {state}")
