"""What Prefect is told where nobody said otherwise: no telemetry, patience, no proxy here.

Set before anything imports prefect.
"""

import os

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    # A busy machine may take longer than Prefect's own patience to start its own server.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # How often a run says that it lives, seconds, the least there is: `deploy/automations.yaml`
    # takes one for dead that is silent three times as long; Prefect's own would be 180.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DIFFUSERS_VERBOSITY": "error",
}

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def set_defaults() -> None:
    """Set in this process's environment what is not set; no proxy stands before this machine."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    pass_proxies_by()


def pass_proxies_by() -> None:
    """Let no proxy of the environment stand before servers on this machine: Prefect, Ray, S3."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return
    told = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    names = [name.strip() for name in told.split(",") if name.strip()]
    if "*" in names:
        return
    wanted = ",".join([*names, *(name for name in LOOPBACK if name not in names)])
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = wanted
