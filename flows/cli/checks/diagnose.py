"""What this machine has, and whether a chosen configuration can run on it.

Nothing is downloaded, started or written; addresses are shown without credentials.
"""

from collections.abc import Callable

from vexpress.flows.cli.checks.check import Check, Setup, guarded
from vexpress.flows.cli.checks.machine import (
    check_codecs,
    check_dataset,
    check_gpu,
    check_machine,
    check_packages,
)
from vexpress.flows.cli.checks.models import check_components, check_weights
from vexpress.flows.cli.checks.services import check_prefect, check_ray

CHECKS: dict[str, Callable[[Setup], list[Check]]] = {
    "packages": check_packages,
    "machine": check_machine,
    "data set": check_dataset,
    "GPU": check_gpu,
    "codecs": check_codecs,
    "curation": check_components,
    "weights": check_weights,
    "Ray": check_ray,
    "Prefect": check_prefect,
}


def examine(setup: Setup) -> list[Check]:
    """Look at everything; a look that fails is itself a line."""
    return [line for name, check in CHECKS.items() for line in guarded(name, check, setup)]


def verdict(setup: Setup, checks: list[Check]) -> tuple[bool, str]:
    """Return whether the configuration can run, and the sentence that says so."""
    where = f"with the {setup.engine} engine on the {'GPU' if setup.gpu else 'CPU'}"
    missing = [check.name for check in checks if check.state == "missing"]
    if missing:
        return False, f"This machine cannot curate {where}: missing {', '.join(missing)}."
    parts = [c.name for c in checks if c.name.startswith("V-Express") and c.state != "ok"]
    rest = f" It cannot train or generate yet: missing {', '.join(parts)}." if parts else ""
    return True, f"This machine can curate {where}.{rest}"
