"""Where `prefect.yaml` lets flows run: each place tells its pool what the pool understands."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.server.api import collections_data
from prefect.utilities.templating import apply_values

from vexpress.flows.server.deployments import filled

ROOT = Path(__file__).parents[2]
DEFINITIONS = yaml.safe_load((ROOT / "prefect.yaml").read_text())["definitions"]
DOCKER = json.loads((ROOT / "deploy/docker/base-job-template.json").read_text())


def template_of(pool: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((ROOT / pool["template"]).read_text())
    return tree


@pytest.mark.parametrize("place", DEFINITIONS["places"])
def test_a_place_tells_its_pool_only_what_the_template_knows(place: str) -> None:
    told = DEFINITIONS["places"][place]
    pool = DEFINITIONS["pools"][told["name"]]
    assert told["work_queue_name"] in pool["queues"]
    known = template_of(pool)["variables"]["properties"]
    assert set(told.get("job_variables", {})) <= set(known)


def test_no_caller_names_a_command_an_environment_an_image_or_a_folder() -> None:
    for pool in DEFINITIONS["pools"].values():
        variables = template_of(pool)["variables"]
        assert variables["additionalProperties"] is False
        never = {"command", "env", "image", "volumes", "working_dir", "network_mode", "secret"}
        assert not never & set(variables["properties"]), pool["template"]


def test_a_container_sees_data_weights_and_the_gpus_that_it_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VEXPRESS_DATA", "/disk/data")
    monkeypatch.setenv("VEXPRESS_WEIGHTS", "/disk/weights")
    configuration = filled(DOCKER["job_configuration"])
    told = DEFINITIONS["places"]["docker-gpu"]["job_variables"]
    properties = DOCKER["variables"]["properties"]
    values = {name: entry["default"] for name, entry in properties.items() if "default" in entry}
    job = apply_values(configuration, {**values, **told})
    assert job["volumes"] == ["/disk/data:/disk/data", "/disk/weights:/weights:ro"]
    assert (job["image"], job["command"]) == ("vexpress:cpu", None)
    assert job["container_create_kwargs"]["runtime"] == "nvidia"
    assert apply_values(configuration, values)["container_create_kwargs"] == {
        **job["container_create_kwargs"],
        "runtime": None,
    }


def test_the_docker_template_says_what_prefects_worker_knows() -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(DOCKER["job_configuration"])))
    properties = DOCKER["variables"]["properties"]
    assert used == set(properties)
    assert all(entry.get("description") and entry.get("title") for entry in properties.values())
    folder = Path(str(next(iter(collections_data.__path__)))) / "views"
    known = json.loads((folder / "aggregate-worker-metadata.json").read_text())
    docker = known["prefect-docker"]["docker"]["default_base_job_configuration"]
    # Prefect's worker has this field since prefect-docker 0.6; the list above lacks it.
    fields = {*docker["job_configuration"], "container_create_kwargs"}
    assert set(DOCKER["job_configuration"]) <= fields
