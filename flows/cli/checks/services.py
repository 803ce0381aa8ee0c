"""Ray and Prefect, here or where the environment says."""

import os
import socket

from vexpress.flows.cli.checks.check import INSTALL, Check, Setup, line, masked
from vexpress.schemas.versions import version_of

PATIENCE_S = 2.0


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


def can_connect(host: str, port: int) -> bool:
    """Return whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=PATIENCE_S).close()
    except OSError:
        return False
    return True


def check_prefect(setup: Setup) -> list[Check]:
    """Prefect itself, and the server that it is told to use."""
    from prefect.settings import get_current_settings

    version = version_of("prefect") or "none"
    url = get_current_settings().api.url
    if not url:
        return [line("Prefect", f"{version}, embedded server on SQLite", good=True)]
    answer = health(url)
    return [
        line("Prefect", version, good=True),
        line(
            "PREFECT_API_URL",
            f"{masked(url)} {answer or 'does not answer'}",
            good=answer is not None,
            todo="start it (prefect server start), or unset PREFECT_API_URL to run embedded",
        ),
    ]


def health(url: str) -> str | None:
    """Return what the server's health page answers, or None where nothing answers."""
    import httpx

    try:
        status = httpx.get(f"{url.rstrip('/')}/health", timeout=PATIENCE_S).status_code
    except httpx.HTTPError:
        return None
    return f"answers {status}" if status < 500 else None
