"""Kubernetes: every manifest against the published schemas; the work pool's template through
Prefect's own worker. KubeRay's resources are not in those schemas: their pods are checked, and
the fields around them against those of KubeRay's API (ray-operator/apis/ray/v1)."""

import asyncio
import copy
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from vexpress.flows.server.deployments import filled

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
LOCK = (FOLDER.parents[1] / "requirements/base.txt").read_text()
VERSION = "1.33"
TEMPLATE = filled(json.loads((FOLDER / "base-job-template.json").read_text()))
CLUSTER_FIELDS = {
    *("rayVersion", "authOptions", "enableInTreeAutoscaling", "autoscalerOptions", "headGroupSpec"),
    *("workerGroupSpecs", "headServiceAnnotations", "suspend"),
}
HEAD_FIELDS = {"rayStartParams", "template", "serviceType", "headService", "enableIngress"}
GROUP_FIELDS = {
    *("groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts"),
    *("rayStartParams", "template", "scaleStrategy"),
}
JOB_FIELDS = {
    *("entrypoint", "entrypointNumCpus", "entrypointNumGpus", "submissionMode", "backoffLimit"),
    *("shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "rayClusterSpec", "runtimeEnvYAML"),
}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def validate(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


def validate_pod(spec: dict[str, Any]) -> None:
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})


def cluster_specs() -> Iterator[dict[str, Any]]:
    yield documents("raycluster.yaml")[0]["spec"]
    yield documents("rayjob.yaml")[0]["spec"]["rayClusterSpec"]


@pytest.mark.parametrize("name", ["storage.yaml", "server.yaml", "worker.yaml"])
def test_manifests_follow_the_published_schemas(name: str) -> None:
    for manifest in documents(name):
        validate(manifest)
        wrong = copy.deepcopy(manifest)
        wrong["metadata"]["nmae"] = "x"
        with pytest.raises(kubernetes_validate.ValidationError, match="nmae"):
            validate(wrong)


@pytest.mark.parametrize("spec", list(cluster_specs()), ids=["RayCluster", "RayJob"])
def test_ray_clusters_have_known_fields_and_valid_pods(spec: dict[str, Any]) -> None:
    assert set(spec) <= CLUSTER_FIELDS
    assert set(spec["headGroupSpec"]) <= HEAD_FIELDS
    groups = spec["workerGroupSpecs"]
    assert len({group["groupName"] for group in groups}) == len(groups)
    for group in groups:
        assert set(group) <= GROUP_FIELDS
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for part in (spec["headGroupSpec"], *groups):
        assert all(isinstance(value, str) for value in part["rayStartParams"].values())
        validate_pod(part["template"]["spec"])


@pytest.mark.parametrize("spec", list(cluster_specs()), ids=["RayCluster", "RayJob"])
def test_the_operator_knows_the_token_that_runs_join_with(spec: dict[str, Any]) -> None:
    """It tells its own containers (autoscaler, waiting workers) and itself only so."""
    token = next(e for e in environment_entries(TEMPLATE) if e["name"] == "RAY_AUTH_TOKEN")
    reference = token["valueFrom"]["secretKeyRef"]
    assert reference["key"] == "auth_token", "the key KubeRay reads"
    assert spec["authOptions"] == {"mode": "token", "secretName": reference["name"]}
    assert not any("AUTH" in entry["name"] for entry in environment_entries(spec))


@pytest.mark.parametrize("spec", list(cluster_specs()), ids=["RayCluster", "RayJob"])
def test_ray_clusters_are_of_the_pinned_version_and_gpu_pods_have_the_gpu_image(
    spec: dict[str, Any],
) -> None:
    assert f"\nray=={spec['rayVersion']} " in LOCK
    seen = set()
    for part in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        (container,) = part["template"]["spec"]["containers"]
        gpus = container["resources"]["limits"].get("nvidia.com/gpu", "0")
        assert container["image"] == ("vexpress:gpu" if int(gpus) else "vexpress:cpu")
        seen.add(container["image"])
        paths = [mount["mountPath"] for mount in container["volumeMounts"]]
        assert paths == ["/data", "/weights", "/dev/shm"], "the same places on every node"
    assert "vexpress:gpu" in seen


def test_the_ray_job_runs_a_command_and_settings_that_exist() -> None:
    from vexpress.tasks.curate.config import load_config

    (job,) = documents("rayjob.yaml")
    assert set(job["spec"]) <= JOB_FIELDS
    words = job["spec"]["entrypoint"].split()
    assert words[:2] == ["vexpress", "curate"]
    settings = [words[n + 1] for n, word in enumerate(words) if word == "--set"]
    config = load_config("default", None, settings)
    assert config.engine.gpus_per_worker == 0.25, "four actors share a GPU"


def environment_entries(tree: Any) -> Iterator[dict[str, Any]]:
    """Every entry of every `env` list, wherever it stands."""
    if isinstance(tree, dict):
        if isinstance(tree.get("env"), list):
            yield from tree["env"]
        for value in tree.values():
            yield from environment_entries(value)
    if isinstance(tree, list):
        for value in tree:
            yield from environment_entries(value)


def test_secrets_are_referred_to_and_never_written() -> None:
    manifests = [m for path in FOLDER.glob("*.yaml") for m in documents(path.name)]
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    secret = re.compile(r"(PASSWORD|AUTH_STRING|TOKEN)$")
    entries = list(environment_entries([*manifests, TEMPLATE]))
    hidden = [entry for entry in entries if secret.search(entry["name"])]
    assert len(hidden) >= 4
    assert all(set(entry) == {"name", "valueFrom"} for entry in hidden)
    references = [entry["valueFrom"]["secretKeyRef"] for entry in hidden]
    assert {ref["name"] for ref in references} == {"vexpress"}


def job_of(**variables: Any) -> dict[str, Any]:
    """The Job that Prefect's Kubernetes worker would create for a flow run."""
    make = KubernetesWorkerJobConfiguration.from_template_and_values
    nowhere = PrefectClient(api="http://127.0.0.1:1/api")  # the template refers to no block
    job = asyncio.run(make(base_job_template=TEMPLATE, values=variables, client=nowhere))
    run = FlowRun(id=uuid.uuid4(), flow_id=uuid.uuid4(), name="careful-otter")
    job.prepare_for_flow_run(run)
    pod = job.job_manifest["spec"]["template"]["spec"]
    # Prefect insists on these two where Kubernetes knows nothing of them (and ignores them).
    assert (pod.pop("parallelism"), pod.pop("completions")) == (1, 1)
    return job.job_manifest


def test_the_work_pools_template_makes_valid_jobs() -> None:
    job = job_of(gpus="1", cpu="8", memory="48Gi")
    validate(job)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "vexpress:cpu"
    assert container["resources"]["limits"] == {"memory": "48Gi", "nvidia.com/gpu": "1"}
    assert container["args"] == ["prefect", "flow-run", "execute"], "through the entry point"
    environment = {entry["name"]: entry for entry in container["env"]}
    assert environment["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]["value"] == "30"
    reference = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert reference == {"name": "vexpress", "key": "auth_token"}


def test_by_default_a_job_has_no_gpu_and_joins_no_cluster() -> None:
    job = job_of()
    validate(job)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "vexpress:cpu"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "0"
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert not environment["RAY_JOIN"]
    joined = job_of(ray_join="vexpress-head-svc:6379")
    entries = joined["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "RAY_JOIN", "value": "vexpress-head-svc:6379"} in entries


def test_every_variable_of_the_template_is_used_and_described() -> None:
    used = set(re.findall(r"{{ (\w+) }}", json.dumps(TEMPLATE["job_configuration"])))
    properties = TEMPLATE["variables"]["properties"]
    assert used == set(properties)
    assert all(entry.get("description") and entry.get("title") for entry in properties.values())
