"""`prefect.yaml` and `deploy/automations.yaml` applied to a server.

Both lie at the top of the repository; links beside this file bring them into the package.

Doing it twice changes nothing: pools, queues and automations are known by their names.
`vexpress up` does it for its own server; for another:
`python -m vexpress.flows.server.deployments` with PREFECT_API_URL and VEXPRESS_DATA set.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.filters import WorkerFilter, WorkerFilterStatus
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import ObjectNotFound

from vexpress.schemas.errors import ConfigError

HOME = Path(__file__).parent
FILE = HOME / "prefect.yaml"
AUTOMATIONS = HOME / "deploy/automations.yaml"
DEFAULTS = {"VEXPRESS_IMAGE": "vexpress:cpu"}
"""What templates of pools take where the environment does not say."""
POOL = "vexpress"
"""Pool of the worker that `vexpress up` starts."""


def require_files() -> None:
    """Raise ConfigError where something that a server is given is missing, or no YAML."""
    for pool in read(FILE)["definitions"]["pools"].values():
        if "template" in pool:
            read(HOME / pool["template"])
    read(AUTOMATIONS)


def apply_pools(client: SyncPrefectClient) -> None:
    """Make the pools that deployments run in, and their queues, where they are missing.

    Their templates, which say what a caller may set, are brought up to date; limits are not.
    """
    tree = read(FILE)
    used = {deployment["work_pool"]["name"] for deployment in tree["deployments"]}
    for name in sorted(used):
        _apply_pool(client, name, tree["definitions"]["pools"][name])


def apply_deployments(environment: dict[str, str]) -> str:
    """Apply the deployments; raise ConfigError with what Prefect says where it cannot."""
    read(FILE)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        [*command, "--prefect-file", str(FILE)],
        env={"VEXPRESS_VERSION": version("vexpress"), **environment},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    if done.returncode:
        raise ConfigError(f"{FILE} could not be applied:\n{said[-2000:]}")
    return said


def apply_automations(client: SyncPrefectClient) -> None:
    """Make the automations, or bring them up to date."""
    for tree in read(AUTOMATIONS)["automations"]:
        if not all(_find_block(client, action) for action in tree["actions"]):
            continue
        automation = AutomationCore.model_validate(tree)
        known = client.read_automations_by_name(automation.name)
        if not known:
            client.create_automation(automation)
        elif AutomationCore.model_validate(known[0].model_dump(exclude={"id"})) != automation:
            # An update forgets what was heard so far, so also which runs fell silent.
            client.update_automation(known[0].id, automation)


def worker_online(client: SyncPrefectClient, name: str, pool: str = POOL) -> bool:
    """Whether a worker of a pool is there."""
    online = WorkerFilter(status=WorkerFilterStatus(any_=["ONLINE"]))
    workers = client.read_workers_for_work_pool(pool, worker_filter=online)
    return name in {worker.name for worker in workers}


def read(file: Path) -> dict[str, Any]:
    """Return a file of the package; raise ConfigError where it is missing or broken."""
    if not file.is_file():
        raise ConfigError(
            f"{file}: expected a file of the package, found nothing. Install vexpress again: "
            "pip install --force-reinstall --no-deps and what it was installed from."
        )
    try:
        tree: dict[str, Any] = yaml.safe_load(file.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{file}: expected YAML, found {error}") from error
    return tree


def _apply_pool(client: SyncPrefectClient, name: str, wanted: dict[str, Any]) -> None:
    template = _template(wanted)
    try:
        if client.read_work_pool(name).base_job_template != template:
            client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
    except ObjectNotFound:
        client.create_work_pool(
            WorkPoolCreate(
                name=name,
                type=wanted["type"],
                base_job_template=template,
                concurrency_limit=wanted["concurrency_limit"],
            )
        )
    for queue, limit in wanted["queues"].items():
        try:
            client.read_work_queue_by_name(queue, name)
        except ObjectNotFound:
            client.create_work_queue(queue, concurrency_limit=limit, work_pool_name=name)


def _template(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return what runs of a pool are made of: our file, with `{{ $NAME }}` of the environment."""
    template: dict[str, Any] = filled(read(HOME / wanted["template"]))
    return template


def filled(tree: Any) -> Any:
    """Return a template with `{{ $NAME }}` replaced by what the environment says."""
    if isinstance(tree, dict):
        return {key: filled(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [filled(value) for value in tree]
    if isinstance(tree, str):
        return re.sub(r"{{ \$(\w+) }}", lambda name: _from_environment(name[1]), tree)
    return tree


def _from_environment(name: str) -> str:
    value = os.environ.get(name, DEFAULTS.get(name))
    if not value:
        raise ConfigError(f"{name}: expected in the environment, for the pools of {FILE.name}")
    return value


def _find_block(client: SyncPrefectClient, action: dict[str, Any]) -> bool:
    """Put the id of the block an action names into it; say whether it can run."""
    if "block" not in action:
        return True
    name = action.pop("block")
    found = [document for document in client.read_block_documents() if document.name == name]
    if found:
        action["block_document_id"] = str(found[0].id)
    return bool(found)


def main() -> None:
    """Apply everything to the server of PREFECT_API_URL."""
    lacking = [name for name in ("PREFECT_API_URL", "VEXPRESS_DATA") if not os.environ.get(name)]
    if lacking:
        sys.exit(f"expected {' and '.join(lacking)} in the environment, found nothing there")
    with get_client(sync_client=True) as client:
        apply_pools(client)
        apply_deployments(dict(os.environ))
        apply_automations(client)
        print(f"deployments and automations of {FILE.name} are on {os.environ['PREFECT_API_URL']}")


if __name__ == "__main__":
    main()
