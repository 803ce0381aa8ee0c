"""A real server with a worker: deployments, forms, schedules, cancelling, lost workers.

One stack serves all tests here; they run in this order.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import BlockDocumentCreate
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Cancelling

from tests.flows.test_pipeline import pipeline_groups, write_two
from tests.helpers.running_stack import SECRET, RunningStack, curate_config, wait, write_videos
from vexpress.flows.server.deployments import AUTOMATIONS, apply_automations, read
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.training.settings import STAGE_NAMES

pytestmark = pytest.mark.slow
MANY = 6
STEPS = ("curate", "train", "generate", "evaluate")
NAMES = ("curate", "report", "train", "generate", "evaluate", "pipeline")
SILENT_S = 36
"""Silence after which a run counts as lost; Prefect's shortest heartbeat is 30 s."""
STOPPED_S = 22
"""What a cancelled run's Ray may take to end; Prefect kills what has not ended after 30 s."""
RAY_AT_WORK = ("ray::", "/raylet/raylet", "gcs_server")
"""Parts of command lines. (A worker that was about to start gives up by itself later.)"""


@pytest.fixture(scope="module")
def server(stack: RunningStack) -> RunningStack:
    """The stack over rendered videos."""
    write_videos(stack.data, MANY)
    write_two(stack.data / "two")
    (stack.data / "two/broken.mp4").write_bytes(b"no video at all")
    return stack


@pytest.fixture(scope="module")
def messages() -> Iterator[tuple[str, list[str]]]:
    """An address that messages can be sent to, and those that came."""
    came: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(self.rfile.read(int(self.headers["content-length"])).decode())
            self.send_response(200)
            self.end_headers()

    receiver = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{receiver.server_port}/{SECRET}", came
    receiver.shutdown()


@pytest.fixture(scope="module")
def lost(server: RunningStack, messages: tuple[str, list[str]]) -> UUID:
    """A run whose worker was killed with all its children, as when a machine is gone.

    The worker is started again at once; what becomes of the run is looked at last.
    """
    with server.client() as client:
        save_alerts(client, messages[0])
        apply_automations(client)  # now that there is somebody to tell
    server_process = server.stack.processes["server"]
    parameters = {"source": "many", "dataset": "lost", "config": curate_config(batch_videos=2)}
    run = server.trigger("curate", parameters)
    give_up_sooner(server, run)
    wait(lambda: len(parts(server.data / "lost")) > 1, "the first batch")
    worker = server.stack.processes["worker"].process()
    assert worker is not None
    for process in [*worker.children(recursive=True), worker]:
        process.kill()
    server.up()
    assert server.stack.processes["server"] == server_process, "what runs is left alone"
    return run


def save_alerts(client: SyncPrefectClient, address: str) -> None:
    """Save the block `alerts`, as a person does in the UI."""
    kind = client.read_block_type_by_slug("custom-webhook")
    schema = client.get_most_recent_block_schema_for_block_type(kind.id)
    assert schema is not None
    data = {"name": "alerts", "url": address, "json_data": {"text": "{{subject}}: {{body}}"}}
    client.create_block_document(
        BlockDocumentCreate(
            name="alerts", data=data, block_type_id=kind.id, block_schema_id=schema.id
        )
    )


def give_up_sooner(server: RunningStack, run: UUID) -> None:
    """Have a second automation like ours, of one run, with the shortest silence that makes sense.

    The run is not at work yet: the first time that it says that it lives is heard.
    """
    (ours, _) = read(AUTOMATIONS)["automations"]
    only = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    trigger = {**ours["trigger"], "within": SILENT_S, "match": only}
    soon = {**ours, "name": "soon", "trigger": trigger}
    with server.client() as client:
        client.create_automation(AutomationCore.model_validate(soon))


def parts(dataset: Path) -> list[Path]:
    """Files of the table `videos`: an empty one, and one a batch."""
    return list((dataset / "manifests/videos").glob("*.parquet"))


def ask(dataset: Path, sql: str) -> list[tuple[Any, ...]]:
    return run_query(Dataset(dataset), sql).fetchall()


def all_of(read: Callable[..., list[Any]]) -> list[Any]:
    """Everything that the server answers page by page."""
    found: list[Any] = []
    while page := read(offset=len(found), limit=200):
        found += page
    return found


def test_the_server_listens_on_this_machine_only(server: RunningStack) -> None:
    (process,) = [p for p in [server.stack.processes["server"].process()] if p]
    family = [process, *process.children(recursive=True)]
    addresses = {c.laddr.ip for p in family for c in p.net_connections() if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}


def test_a_killed_worker_is_started_again(server: RunningStack, lost: UUID) -> None:
    assert server.stack.running("worker") and server.state_of(lost) in ("Running", "Crashed")


def pipeline_parameters(server: RunningStack, **curate: Any) -> dict[str, Any]:
    """A pipeline that ends within a minute. No weights are named: without those of the
    worker's VEXPRESS_WEIGHTS there would be no features of the sound to train on."""
    groups = pipeline_groups(Path(server.environment["VEXPRESS_WEIGHTS"]))
    return {
        "run": "piped-run",
        "curate": {**curate_config(**curate), "crop": groups["curate"]["crop"]},
        "train": {**groups["train"], "preset": "tiny"},
        "gate": groups["gate"],
        "generate": {"model": {"preset": "tiny"}, **groups["generate"]},
    }


def test_the_pipeline_starts_each_step_as_its_deployment(server: RunningStack) -> None:
    before = {name: {run.id for run in server.runs_of(name)} for name in STEPS}
    run = server.trigger(
        "pipeline", {"source": "two", "dataset": "dataset", **pipeline_parameters(server)}
    )
    server.complete(run)
    made = {name: [r for r in server.runs_of(name) if r.id not in before[name]] for name in STEPS}
    assert {name: len(runs) for name, runs in made.items()} == dict.fromkeys(STEPS, 1)
    artifacts = server.artifacts(run)
    for (step,) in made.values():
        artifacts |= server.artifacts(step.id)
    check_data_set(server.data / "dataset", artifacts)
    check_training(server.data / "piped-run", artifacts)
    check_generation(server.data / "dataset", artifacts)


def check_data_set(dataset: Path, artifacts: dict[str, Any]) -> None:
    """The broken file is a row too, and the artifacts say what was kept."""
    statuses = ask(dataset, "SELECT status FROM videos ORDER BY source")
    assert statuses == [("rejected",), ("ok",), ("ok",)]
    assert {"funnel", "summary", "progress", "data-gate", "pipeline"} <= artifacts.keys()
    stages = [row["stage"] for row in json.loads(artifacts["funnel"].data)]
    assert stages[:3] == ["Sources", "− unreadable", "Scenes"]
    assert artifacts["progress"].data == 100
    assert "were kept in 2 clips" in artifacts["summary"].data
    assert str(dataset / "report.html") in artifacts["summary"].data


def check_training(run: Path, artifacts: dict[str, Any]) -> None:
    """Every stage has its gates and its curve, and the last one its weights."""
    stages = range(1, len(STAGE_NAMES) + 1)
    assert {f"stage-{n}-{what}" for n in stages for what in ("gates", "loss")} <= artifacts.keys()
    assert (run / "weights/v-express/denoising_unet.bin").is_file()
    assert (run / "weights/v-express/reference_net.bin").is_file()


def check_generation(dataset: Path, artifacts: dict[str, Any]) -> None:
    """The sample was made and measured."""
    made = ask(dataset, "SELECT status, out_path FROM generations")
    assert {status for status, _ in made} == {"made"}
    assert all((dataset / path).stat().st_size > 1000 for _, path in made)
    assert artifacts["generate-progress"].data == 100
    assert "](data:image/jpeg;base64," in artifacts["generate-summary"].data
    assert ask(dataset, "SELECT count(*) > 0 FROM evaluations") == [(True,)]
    assert artifacts["evaluate-progress"].data == 100


def test_training_settings_may_be_given_in_part_and_wrong_ones_are_refused(
    server: RunningStack,
) -> None:
    with pytest.raises(PrefectHTTPStatusError, match="max_gap_framez"):
        server.trigger("curate", {"config": {"keep": {"max_gap_framez": 1}}})
    with server.client() as client:
        train = client.read_deployment_by_name("train/train")
    schema = train.parameter_openapi_schema
    assert schema is not None
    assert "required" not in schema["definitions"]["TrainSettings"]
    assert train.parameters["settings"] == {"preset": "full"}


def test_forms_have_descriptions_defaults_and_choices(server: RunningStack) -> None:
    with server.client() as client:
        deployments = client.read_deployments()
    assert {d.name for d in deployments} == set(NAMES)
    for deployment in deployments:
        schema = deployment.parameter_openapi_schema
        assert schema is not None and deployment.description and deployment.version
        for name, field in schema["properties"].items():
            assert field.get("description"), f"{deployment.name}.{name}"
        for model in schema.get("definitions", {}).values():
            for name, field in model.get("properties", {}).items():
                assert field.get("description") or "$ref" in field, f"{model['title']}.{name}"
        required = set(schema.get("required", []))
        assert required <= deployment.parameters.keys(), "a form that can be sent as it is"
    (curate,) = [d for d in deployments if d.name == "curate"]
    definitions = curate.parameter_openapi_schema["definitions"]  # type: ignore[index]
    assert definitions["FaceConfig"]["properties"]["backend"]["enum"]
    assert definitions["KeepRules"]["properties"]["min_face_side_px"]["title"].endswith("(px)")


def test_limits_and_pools_are_set(server: RunningStack) -> None:
    with server.client() as client:
        assert client.read_work_pool("vexpress").concurrency_limit == 4
        assert client.read_work_queue_by_name("gpu", "vexpress").concurrency_limit == 1
        assert client.read_work_queue_by_name("pipeline", "vexpress").concurrency_limit == 2
        assert client.read_deployment_by_name("train/train").work_queue_name == "gpu"
        pipeline = client.read_deployment_by_name("pipeline/pipeline")
        assert pipeline.work_queue_name == "pipeline", "room is left for the runs it waits for"
        (nightly,) = client.read_deployment_by_name("generate/generate").schedules
        assert nightly.schedule.cron == "0 2 * * *" and not nightly.active


def test_a_schedule_fires_by_itself_and_the_report_shows_contact_sheets(
    server: RunningStack,
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=20)  # the scheduler looks every few seconds
    rarely = IntervalSchedule(interval=timedelta(seconds=120), anchor_date=soon)
    with server.client() as client:
        deployment = client.read_deployment_by_name("report/report")
        (schedule,) = client.create_deployment_schedules(deployment.id, [(rarely, True)])
    try:
        run = wait(
            lambda: [run for run in server.runs_of("report") if run.state and run.state.is_final()],
            "a scheduled run",
        )[0]
    finally:
        with server.client() as client:
            client.delete_deployment_schedule(deployment.id, schedule.id)
    assert run.auto_scheduled and run.state.name == "Completed"
    sheets = {k: a for k, a in server.artifacts(run.id).items() if k.startswith("sheet-")}
    assert "sheet-kept" in sheets
    assert all("](data:image/jpeg;base64," in a.data for a in sheets.values())


def test_a_cancelled_pipeline_stops_its_step_and_ray_within_seconds_and_it_resumes(
    server: RunningStack,
) -> None:
    before = {run.id for run in server.runs_of("curate")}
    parameters = pipeline_parameters(server, kind="ray", max_workers=1, batch_videos=2)
    run = server.trigger("pipeline", {"source": "many", "dataset": "cancelled", **parameters})
    dataset = server.data / "cancelled"
    wait(lambda: len(parts(dataset)) > 1, "the first batch")
    assert all(server.processes(word) for word in RAY_AT_WORK)
    with server.client() as client:
        client.set_flow_run_state(run, Cancelling())
    began = time.monotonic()
    wait(lambda: not any(map(server.processes, RAY_AT_WORK)), "the end of Ray", STOPPED_S)
    print(f"Ray was gone {time.monotonic() - began:.1f} s after the run was cancelled")
    (step,) = {run.id for run in server.runs_of("curate")} - before
    for stopped in (run, step):
        wait(lambda stopped=stopped: server.state_of(stopped) == "Cancelled", "its end")
        with server.client() as client:
            states = [state.name for state in client.read_flow_run_states(stopped)]
        assert "Crashed" not in states, "it was told to stop, and did"
    done = ask(dataset, "SELECT count(*) FROM videos")[0][0]
    assert 0 < done < MANY, "cancelled in the middle"

    config = {**parameters["curate"], "engine": curate_config()["engine"]}
    again = server.trigger("curate", {"source": "many", "dataset": "cancelled", "config": config})
    server.complete(again)
    assert ask(dataset, "SELECT count(*), count(DISTINCT source) FROM videos") == [(MANY, MANY)]
    assert ask(dataset, "SELECT count(DISTINCT clip_id) FROM kps") == [(MANY,)]
    newest = "SELECT videos, videos_done_before FROM runs ORDER BY started_at DESC LIMIT 1"
    assert ask(dataset, newest) == [(MANY - done, done)]


def test_a_lost_run_is_crashed_and_tells_somebody(
    server: RunningStack, lost: UUID, messages: tuple[str, list[str]]
) -> None:
    assert server.finish(lost) == "Crashed"
    came = wait(lambda: [text for text in messages[1] if "curate" in text], "a message", 60)
    assert "Crashed" in came[0] and "Not heard of" in came[0]
    dataset = server.data / "lost"
    done = ask(dataset, "SELECT count(*) FROM videos")[0][0]
    assert 0 < done < MANY, "what it did is kept; how another run goes on, the cancelled one shows"


def test_secrets_are_in_no_log_manifest_or_artifact(
    server: RunningStack, lost: UUID, messages: tuple[str, list[str]]
) -> None:
    """One is in a block, and used: a message came to its address; and in the environment."""
    assert messages[1]
    logs = [file.read_text(errors="replace") for file in server.state.glob("logs/*")]
    parts = [pq.read_table(file) for file in server.data.glob("*/manifests/**/*.parquet")]
    with server.client() as client:
        told = [artifact.model_dump_json() for artifact in all_of(client.read_artifacts)]
        said = [log.message for log in all_of(client.read_logs)]
    for texts in (logs, [str(part.to_pylist()) for part in parts], told, said):
        assert texts and not [text for text in texts if SECRET in text]
    pages = list(server.data.glob("**/*.html"))
    assert pages and not [page for page in pages if SECRET in page.read_text()]
