"""`vexpress up`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli.options import plain_errors
from vexpress.flows.server.password import STATE as FOLDER

STATE = Path(FOLDER)
StateOption = Annotated[
    Path,
    typer.Option(
        "--state",
        envvar="VEXPRESS_STATE",
        help="Folder for the server's database, logs, and what was started.",
    ),
]


def up(
    data: Annotated[
        Path, typer.Argument(help="Folder that paths in the forms are relative to.")
    ] = Path(),
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine's need a password.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port; else 4200, or a free one.", show_default=False),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option("--ray", help="Also a Ray head, for runs that share it or other machines."),
    ] = False,
    state: StateOption = STATE,
) -> None:
    """Start a Prefect server with a worker here, and apply the deployments of `prefect.yaml`.

    Runs are started, scheduled, watched and cancelled in a browser. Give the command again
    as often as you like: what runs is left alone, what has died is started again. It works
    without `--ray` on one machine: a run with `engine.kind: ray` then starts its own Ray.

    Example:

        vexpress up data/ && open http://127.0.0.1:4200
    """
    with plain_errors():
        from vexpress.flows.server.password import file_of
        from vexpress.flows.server.stack import ray_environment
        from vexpress.flows.server.stack import up as start

        stack = start(state.expanduser(), data.expanduser(), host, port, ray, typer.echo)
    typer.echo(f"\nopen      {stack.url}/deployments")
    typer.echo(f"password  in {file_of(state)}; the page asks for it once")
    typer.echo(f"data      {stack.data}: put videos into {Path(stack.data) / 'videos'}")
    where = "" if state == STATE else f" VEXPRESS_STATE={shlex.quote(str(state.resolve()))}"
    export = f"export PREFECT_API_URL={stack.url}/api{where}"
    typer.echo(f"commands  {export}   shows their runs there too")
    if stack.ray:
        told = ray_environment(state.expanduser())
        names = ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")
        typer.echo(f"and Ray   export {' '.join(f'{name}={told[name]}' for name in names)}")
    chosen = "" if state == STATE else f" --state {shlex.quote(str(state.expanduser().resolve()))}"
    typer.echo(f"stop      vexpress down{chosen}")
