"""Models that curation, training and generation need."""

from pathlib import Path
from typing import TYPE_CHECKING

from vexpress.flows.cli.checks.check import INSTALL, Check, Setup, guarded, line

if TYPE_CHECKING:
    from vexpress.tasks.engine.component import Component


def check_components(setup: Setup) -> list[Check]:
    """What each step and scorer of curation says that it needs or can use."""
    from vexpress.tasks.curate.chain import components
    from vexpress.tasks.curate.config import CurateConfig

    return [
        said
        for component, _ in components(CurateConfig())
        for said in guarded(component.NAME, _needs, component, setup.weights)
    ]


def _needs(component: "type[Component]", weights: Path | None) -> list[Check]:
    return [
        line(
            need.name,
            need.found,
            good=need.is_here,
            needed=need.required,
            todo=need.todo or INSTALL,
        )
        for need in component.needs(weights)
    ]


def check_weights(setup: Setup) -> list[Check]:
    """The folder with weights, and those of V-Express."""
    from vexpress.weights.catalogue import TABLE

    given = setup.weights
    lines = [] if given is None else [_folder(given)]
    return [*lines, *(_vexpress_part(entry.name, entry.repository, given) for entry in TABLE)]


def _folder(weights: Path) -> Check:
    found = str(weights) if weights.is_dir() else f"{weights} is no folder"
    return line("weights folder", found, good=weights.is_dir(), todo="give the folder that exists")


def _vexpress_part(name: str, repository: str, weights: Path | None) -> Check:
    """One entry of the table of weights: in the folder given, else in the hub cache."""
    from vexpress.weights.catalogue import NETWORKS, network_files
    from vexpress.weights.sources import get

    roots = [weights, weights / "model_ckpts"] if weights else _hub_snapshot(repository)
    if name == "v-express":
        folders = [folder for root in roots for folder in (root / name, root)]
        held = max((network_files(folder) for folder in folders), key=len, default={})
        absent = sorted(set(NETWORKS) - set(held))
        found = ", ".join(sorted(held)) if held else "none of its files"
        found += f"; missing {', '.join(absent)}" if held and absent else ""
    else:
        places = [place for root in roots for place in (root / name, root)]
        configs = [p / "config.json" for p in places if (p / "config.json").is_file()]
        found, absent = (str(configs[0].parent), []) if configs else ("none", ["config.json"])
    return line(
        "V-Express networks" if name == "v-express" else f"V-Express {name}",
        found,
        good=not absent,
        needed=False,
        todo=f"to train and generate: {get(name)}",
    )


def _hub_snapshot(repository: str) -> list[Path]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return [Path(snapshot_download(repository, local_files_only=True))]
    except LocalEntryNotFoundError:
        return []
