"""The file for `ray up`: through Ray's own reading, defaults and schema."""

from pathlib import Path

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

FILE = Path(__file__).parents[2] / "deploy/ray-cluster.yaml"


def test_ray_takes_the_cluster_file_and_refuses_a_wrong_one() -> None:
    tree = yaml.safe_load(FILE.read_text())
    prepared = prepare_config(dict(tree))
    validate_config(prepared)
    assert prepared["max_workers"] == len(tree["provider"]["worker_ips"]) == 2
    with pytest.raises(jsonschema.ValidationError, match="max_wrokers"):
        validate_config({**prepared, "max_wrokers": 2})


def test_every_machine_sees_data_weights_and_token_at_the_same_place() -> None:
    options = " ".join(yaml.safe_load(FILE.read_text())["docker"]["run_options"])
    for place in (":/data", ":/weights:ro", ":/run/secrets/ray_token:ro", "RAY_AUTH_MODE=token"):
        assert place in options
