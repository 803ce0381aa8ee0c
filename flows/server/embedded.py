"""Run flows without a server: Prefect's own, embedded, on SQLite, without telemetry.

Call `prepare()` before anything imports prefect. Where PREFECT_API_URL names a server,
that one is used and nothing here changes it.
"""

import os

import psutil

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    # A busy machine may take longer than Prefect's own patience to start the embedded server.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    # How often a run says that it lives, seconds, the least there is: `deploy/automations.yaml`
    # takes one for dead that is silent three times as long; Prefect's own would be 180.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DIFFUSERS_VERBOSITY": "error",
}
OWNER = "VEXPRESS_EMBEDDED_BY"
"""In the environment of an embedded server: process that started it."""
SERVER = "prefect.server.api.server:create_app"


def prepare(*, quiet: bool = True) -> None:
    """Set what is not set: no telemetry; quiet, for errors reach the person by themselves."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if quiet:
        os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    os.environ[OWNER] = str(os.getpid())
    end_orphans()


def end_orphans() -> None:
    """End embedded servers whose run was killed: nobody else ever would."""
    for process in psutil.process_iter(["cmdline"]):
        try:
            if SERVER in (process.info["cmdline"] or ()) and is_orphan(process):
                process.terminate()
        except psutil.Error:  # gone meanwhile, or somebody else's
            continue


def is_orphan(process: psutil.Process) -> bool:
    """Return whether a server was embedded by a process that is no more."""
    environment = process.environ()
    owner = environment.get(OWNER, "")
    embedded = environment.get("PREFECT__SERVER_EPHEMERAL") == "1"
    return embedded and owner.isdigit() and not psutil.pid_exists(int(owner))
