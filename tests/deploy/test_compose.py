"""The compose files: valid by the specification, closed to the outside, secrets in files."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from prefect.settings.models.server.database import ServerDatabaseSettings

DEPLOY = Path(__file__).parents[2] / "deploy"


def read(name: str) -> dict[str, Any]:
    """A compose file with its variables at their defaults, as Compose itself puts them in."""
    text = (DEPLOY / name).read_text()
    return dict(yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)))


COMPOSE = read("compose.yaml")
SERVICES = COMPOSE["services"]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.gpu.yaml"])
def test_files_follow_the_specification(name: str) -> None:
    tree = read(name)
    PyCompose.from_yaml(yaml.safe_dump(tree))
    wrong = copy.deepcopy(tree)
    wrong["services"]["ray"]["prots"] = ["8265:8265"]
    with pytest.raises(ValueError, match="prots"):
        PyCompose.from_yaml(yaml.safe_dump(wrong))


def test_everything_listens_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert "ports" not in SERVICES["postgres"]


def test_secrets_are_files_that_the_services_name_and_nothing_else() -> None:
    secrets = COMPOSE["secrets"]
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == set(secrets) == {"postgres_password", "ray_token", "api_auth"}
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|TOKEN|AUTH_STRING", key):
                folder, _, name = str(value).rpartition("/")
                assert (folder, name in service["secrets"]) == ("/run/secrets", True), key


def test_the_server_is_told_where_its_database_is_by_names_that_prefect_knows() -> None:
    environment = SERVICES["server"]["environment"]
    asked = {
        key.removeprefix("PREFECT_SERVER_DATABASE_").removesuffix("_FILE").lower()
        for key in environment
        if key.startswith("PREFECT_SERVER_DATABASE_")
    }
    assert asked == {"driver", "host", "port", "user", "name", "password"}
    assert asked <= set(ServerDatabaseSettings.model_fields)
    assert environment["PREFECT_SERVER_DATABASE_HOST"] in SERVICES
    database = SERVICES["postgres"]["environment"]
    assert environment["PREFECT_SERVER_DATABASE_USER"] == database["POSTGRES_USER"]
    assert environment["PREFECT_SERVER_DATABASE_NAME"] == database["POSTGRES_DB"]


def test_worker_and_ray_see_the_same_data_and_the_same_token() -> None:
    worker, ray = SERVICES["worker"], SERVICES["ray"]
    assert worker["volumes"] == ray["volumes"]
    assert worker["environment"]["RAY_JOIN"] == "ray:6379"
    assert "--port=6379" in ray["command"]
    for key, value in ray["environment"].items():
        assert worker["environment"][key] == value
    assert worker["depends_on"]["server"]["condition"] == "service_healthy"
    assert worker["environment"]["PREFECT_API_URL"] == "http://server:4200/api"


def test_our_containers_have_no_rights_they_do_not_need() -> None:
    for name in ("server", "ray", "worker"):
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
        assert "privileged" not in SERVICES[name]
