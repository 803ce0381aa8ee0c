"""What Prefect is told where nobody said otherwise: no telemetry, and patience.

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


def set_defaults() -> None:
    """Set in this process's environment what is not set."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
