"""Join or start Ray."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vexpress.schemas.errors import ConfigError

PATIENCE_S = 5.0
"""How long a cluster may take to answer; Ray's own patience is minutes."""
TODO = "Start Ray there (ray start --head), or unset RAY_ADDRESS to use this machine alone."


def can_connect(host: str, port: int) -> bool:
    """Return whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=PATIENCE_S).close()
    except OSError:
        return False
    return True


def require_cluster(address: str) -> None:
    """Raise ConfigError where `address` is HOST:PORT and nothing listens there."""
    host, _, port = address.rpartition(":")
    is_place = port.isdigit() and "://" not in address
    if is_place and not can_connect(host.strip("[]"), int(port)):
        raise ConfigError(f"RAY_ADDRESS={address}: nothing answers there. {TODO}")


def start_ray() -> bool:
    """Join the cluster of RAY_ADDRESS, else start Ray on this machine; say whether it did.

    Raises ConfigError where no cluster answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    if ray.is_initialized():
        return False
    address = os.environ.get("RAY_ADDRESS") or "local"  # None joins any that runs here
    require_cluster(address)
    try:
        with _kept_handler():
            ray.init(
                address=address,
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
            )
    except (ConnectionError, ValueError) as error:
        raise ConfigError(f"RAY_ADDRESS={address}: {error}. {TODO}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler):  # its log file still gets everything
            handler.setLevel(logging.ERROR)
    return True


@contextmanager
def _kept_handler() -> Iterator[None]:
    """Keep the caller's answer to SIGTERM: Ray would put its own, which exits, in its place.

    Not even for the time of its start: Prefect tells a run that it is cancelled only where
    its own answer is in place. Ray (2.60) has no setting for this, and its C++ part takes the
    signal once more, underneath: so the caller's answer is given back in the end.
    """
    from ray._private import utils

    theirs = getattr(utils, "set_sigterm_handler", None)
    handler = signal.getsignal(signal.SIGTERM)
    utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        utils.set_sigterm_handler = theirs
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)
