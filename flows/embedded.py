"""Run flows without a server: Prefect's own, embedded, on SQLite, without telemetry.

Call `prepare()` before anything imports prefect. Where PREFECT_API_URL names a server,
that one is used and nothing here changes it.
"""

import os

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    # A busy machine may take longer than Prefect's own patience to start the embedded server.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DIFFUSERS_VERBOSITY": "error",
}


def prepare(*, quiet: bool = True) -> None:
    """Set what is not set: no telemetry; quiet, for errors reach the person by themselves."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
