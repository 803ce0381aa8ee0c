"""Ray and Prefect, here or where the environment says."""

import os

from vexpress.flows.cli.checks.check import INSTALL, Check, Setup, line, masked
from vexpress.flows.cli.running import ask_server
from vexpress.schemas.versions import version_of
from vexpress.tasks.engine.ray_cluster import can_connect


def check_ray(setup: Setup) -> list[Check]:
    """Ray itself, and the cluster that RAY_ADDRESS names."""
    needed = setup.engine == "ray"
    version = version_of("ray")
    ray = line("Ray", version or "none", good=version is not None, needed=needed, todo=INSTALL)
    address = os.environ.get("RAY_ADDRESS", "")
    if not address or address in ("auto", "local"):
        return [ray]
    if "://" in address:
        todo = "run next to the Ray head, with RAY_ADDRESS=HOST:6379; ray:// is not used"
        return [ray, line("RAY_ADDRESS", masked(address), good=False, needed=needed, todo=todo)]
    host, _, port = address.rpartition(":")
    reachable = port.isdigit() and can_connect(host, int(port))
    found = f"{masked(address)} {'answers' if reachable else 'does not answer'}"
    todo = "start Ray there (ray start --head), or unset RAY_ADDRESS to use this machine alone"
    return [ray, line("RAY_ADDRESS", found, good=reachable, needed=needed, todo=todo)]


def check_prefect(setup: Setup) -> list[Check]:
    """Prefect itself, and the server that it is told to use."""
    version = version_of("prefect") or "none"
    url = os.environ.get("PREFECT_API_URL", "")
    if not url:
        return [line("Prefect", f"{version}, not used: PREFECT_API_URL is not set", good=True)]
    answers, said = ask_server(url)
    return [
        line("Prefect", version, good=True),
        line(
            "PREFECT_API_URL",
            f"{masked(url)} {said if answers else 'does not answer'}",
            good=answers,
            todo="start it (prefect server start), or unset PREFECT_API_URL to run without",
        ),
    ]
