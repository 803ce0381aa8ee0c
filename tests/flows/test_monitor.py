"""What a plain function tells its monitor is seen in Prefect: task runs, artifacts, log lines."""

from collections.abc import Iterator
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.testing.utilities import prefect_test_harness

from tests.helpers.running_stack import wait
from vexpress.flows.monitor import PrefectMonitor
from vexpress.tasks.engine.monitor import Monitor, Retry
from vexpress.tasks.engine.progress import Progress

ONCE_MORE = Retry(times=1, delay_s=0, may_help=lambda error: isinstance(error, OSError))


@pytest.fixture(scope="module")
def client() -> Iterator[SyncPrefectClient]:
    """A client of a server of its own."""
    EventsWorker.drain_all()  # one of an earlier test would tell that test's server
    with prefect_test_harness(server_startup_timeout=120), get_client(sync_client=True) as client:
        yield client


class Half(Progress):
    def where(self) -> tuple[float, str]:
        return 0.5, "half of it"


def work(monitor: Monitor, number: int) -> int:
    """A unit of work, with a progress and a line in the log."""
    with Half(monitor, "halving", "half-progress", "Share that is done"):
        monitor.info(f"unit {number}")
    return 10 * number


def failing(errors: list[Exception]) -> str:
    """Fail with each of the errors once."""
    if errors:
        raise errors.pop(0)
    return "done"


def run(body: Any) -> tuple[Any, Any]:
    """Return the id of a flow run that calls `body`, and what that gave or raised."""
    ids = []

    @flow(name="watched")
    def watched() -> Any:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        ids.append(context.flow_run.id)
        return body()

    try:
        return ids, watched()
    except Exception as error:
        return ids, error


def task_runs(client: SyncPrefectClient, flow_run: Any) -> dict[str, Any]:
    """Task runs of a flow run, by name, oldest first."""
    given = client.request("POST", "/task_runs/filter", json={}).json()
    return {r["name"]: r for r in given if r["flow_run_id"] == str(flow_run)}


def states(client: SyncPrefectClient, flow_run: Any) -> dict[str, str]:
    """States of the task runs of a flow run, by name; two are expected."""
    made = task_runs(client, flow_run)
    return {name: run["state_type"] for name, run in made.items()} if len(made) == 2 else {}


def test_units_are_task_runs_and_progress_is_an_artifact(client: SyncPrefectClient) -> None:
    found: list[object] = []

    def body() -> list[int]:
        monitor = PrefectMonitor(found.append)
        monitor.publish("a finding")
        names = ("batch 1 of 2", "batch 2 of 2")
        return [monitor.run("a-batch", work, monitor, n, name=names[n]) for n in range(2)]

    (flow_run,), answers = run(body)
    assert answers == [0, 10] and found == ["a finding"]
    # The server learns of task runs by events, a little later.
    wait(lambda: set(states(client, flow_run).values()) == {"COMPLETED"}, "the task runs' end")
    assert states(client, flow_run).keys() == {"batch 1 of 2", "batch 2 of 2"}
    artifacts = client.request("POST", "/artifacts/filter", json={}).json()
    (shown,) = [a for a in artifacts if a["flow_run_id"] == str(flow_run)]
    assert (shown["key"], shown["data"]) == ("half-progress", 50.0)
    assert "half of it" in shown["description"]


@pytest.mark.parametrize("kind", [Monitor, PrefectMonitor])
def test_a_unit_is_tried_again_where_that_may_help(
    client: SyncPrefectClient, kind: type[Monitor]
) -> None:
    def run_unit(*errors: Exception) -> Any:
        given = list(errors)
        return run(lambda: kind().run("unit", failing, given, retry=ONCE_MORE))[1]

    assert run_unit(OSError("lost")) == "done"
    assert isinstance(run_unit(OSError("lost"), OSError("lost again")), OSError)
    assert isinstance(run_unit(ValueError("wrong")), ValueError)
