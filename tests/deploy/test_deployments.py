"""`prefect.yaml` and what the server does by itself fit together, wherever a run runs."""

from vexpress.flows.server.deployments import AUTOMATIONS, FILE, HOME, read
from vexpress.flows.server.environment import SETTINGS

HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"


def test_every_run_says_that_it_lives_before_it_is_taken_for_dead() -> None:
    """Prefect's own heartbeat comes every 180 s; a run would count as lost before the first."""
    lost = next(a for a in read(AUTOMATIONS)["automations"] if "silent" in a["name"])
    told = {
        name: read(HOME / pool["template"])["job_configuration"]["env"][HEARTBEAT]
        for name, pool in read(FILE)["definitions"]["pools"].items()
    }
    told["a command that joins a server"] = SETTINGS[HEARTBEAT]
    assert {name for name, every in told.items() if 3 * int(every) > lost["trigger"]["within"]} == (
        set()
    )


def test_a_pipeline_leaves_room_for_the_runs_it_waits_for() -> None:
    tree = read(FILE)
    places = {deployment["name"]: deployment["work_pool"] for deployment in tree["deployments"]}
    pool = tree["definitions"]["pools"][places["pipeline"]["name"]]
    assert pool["queues"][places["pipeline"]["work_queue_name"]] < pool["concurrency_limit"]
    waited_for = [name for name in places if name != "pipeline"]
    queues = {places[name]["work_queue_name"] for name in waited_for}
    assert places["pipeline"]["work_queue_name"] not in queues
