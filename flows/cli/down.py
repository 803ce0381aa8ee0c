"""`vexpress down`."""

import typer

from vexpress.flows.cli.options import plain_errors
from vexpress.flows.cli.up import STATE, StateOption


def down(state: StateOption = STATE) -> None:
    """Stop what `vexpress up` started, and nothing else, also after a crash.

    Runs that are under way are stopped and go on when they are run again. Data sets, the
    server's history and schedules stay.

    Example:

        vexpress down
    """
    with plain_errors():
        from vexpress.flows.server.stack import down as stop

        if not stop(state.expanduser(), typer.echo):
            typer.echo(f"nothing to stop: nothing was started with --state {state}")
