"""The whole way as a Prefect flow, whose steps are flows too.

`here` they run one after the other in this process. As `deployments` each is started by name
on the server and may live in another work pool: it is told names of data, and of the snapshot
that the gate saw, never data.
"""

import time
from typing import Any, Literal
from uuid import UUID

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling
from pydantic import BaseModel

from vexpress.flows.curate import curate as curate_flow
from vexpress.flows.evaluate import evaluate as evaluate_flow
from vexpress.flows.generate import generate as generate_flow
from vexpress.flows.monitor import PrefectMonitor
from vexpress.flows.settings import TrainForm
from vexpress.flows.train import train as train_flow
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate.request_table import is_query
from vexpress.tasks.media.source import absolute
from vexpress.tasks.pipeline import (
    SAMPLE,
    DataGate,
    DataGateResult,
    PipelineReport,
    PipelineStopped,
    run_pipeline,
)
from vexpress.tasks.train.run import absolute_paths

Place = Literal["here", "deployments"]
FLOWS = {step.name: step for step in (curate_flow, train_flow, generate_flow, evaluate_flow)}
LOOK_EVERY_S = 2.0


@flow(name="pipeline")
def pipeline(
    source: str,
    dataset: str,
    run: str,
    train: TrainForm,
    curate: CurateConfig = CurateConfig(),
    gate: DataGate = DataGate(),
    generate: GenerateConfig = GenerateConfig(),
    sample: str | None = SAMPLE,
    requests: str | None = None,
    weights: str | None = None,
    place: Place = "here",
) -> PipelineReport:
    """Curate videos, train on them, make videos with what was trained, and measure those.

    Args:
        source: Videos: file, folder, glob or list, as in `curate`.
        dataset: Data set that they become.
        run: Folder of the training run.
        train: What differs from the training preset.
        curate: Settings of curation.
        gate: What the data set must be like before training starts.
        generate: Settings of generation.
        sample: Query over the data set for a few clips to generate and evaluate; null: none.
        requests: Table of requests to generate in the end; null: none.
        weights: Folder with models (insightface/models/…, wav2vec2-base-960h); else that of
            VEXPRESS_WEIGHTS where the steps run.
        place: `here`: one after the other in this run. `deployments`: each step is started by
            its name on the server, wherever its work pool is.
    """
    report = run_pipeline(
        source,
        dataset,
        run,
        train,
        curate,
        gate,
        generate,
        sample,
        requests,
        weights,
        PrefectMonitor(publish_gate),
        start_here if place == "here" else start_deployment,
    )
    create_markdown_artifact(describe(report, dataset), key="pipeline", description="What was done")
    return report


def start_here(step: str, **parameters: Any) -> None:
    """Do a step as a flow of this process."""
    FLOWS[step](**parameters)


def require_server() -> None:
    """Raise ConfigError where no server is named that could have deployments."""
    if not PREFECT_API_URL.value():
        raise ConfigError(
            "--deployments: expected a server in PREFECT_API_URL, found none. Start one with "
            "`vexpress up`, then set PREFECT_API_URL to what it says."
        )


def start_deployment(step: str, **parameters: Any) -> None:
    """Start a deployment as a step of this run and wait; when this is stopped, so is that.

    Raises PipelineStopped where there is none, or its run did not complete.
    """
    told = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in parameters.items()
    }
    try:
        started: Any = run_deployment(f"{step}/{step}", parameters=told, timeout=0)
    except ObjectNotFound as error:
        raise PipelineStopped(
            f"no deployment {step} on {PREFECT_API_URL.value()}: run `vexpress up`, or for a "
            "server of your own `python -m vexpress.flows.server.deployments`"
        ) from error
    get_run_logger().info("%s runs as %s", step, started.name)
    state: Any = None
    try:
        while state is None or not state.is_final():
            time.sleep(LOOK_EVERY_S)
            state = read_state(started.id)
    except BaseException:
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(started.id, Cancelling())
        raise
    if not state.is_completed():
        raise PipelineStopped(
            f"{step}: expected run {started.name} to complete, it ended as {state.name}: "
            f"{state.message}. Put right what it says, then run the pipeline again: it goes on."
        )


def read_state(run: UUID) -> Any:
    """Return the state of a run."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state


def publish_gate(gate: DataGateResult) -> None:
    """Leave the numbers of the gate before training."""
    rows = [
        {**check.model_dump(), "passed": "yes" if check.passed else "no"} for check in gate.checks
    ]
    create_table_artifact(rows, key="data-gate", description=f"The data set at {gate.snapshot}")


def describe(report: PipelineReport, dataset: str) -> str:
    """Return what was done and where to look, as Markdown."""
    seen = report.gate
    return "\n".join(
        [
            f"## {' → '.join(report.steps)}",
            "",
            f"- data set `{dataset}` at `{seen.snapshot}`: {seen.kept_minutes:.1f} minutes in "
            f"{seen.clips} clips, {100 * seen.reject_share:.0f} % of the candidates rejected",
            f"- weights `{report.weights}`",
        ]
    )


def name_everywhere(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what a pipeline is asked with paths that mean the same in runs that start in another
    folder; URIs and queries stay as they are."""
    names = {name: asked[name] for name in ("source", "dataset", "run", "requests", "weights")}
    paths = {name: text for name, text in names.items() if text and "://" not in text}
    if is_query(paths.get("requests", "")):
        del paths["requests"]
    _, _, train = absolute_paths(asked["dataset"], asked["run"], asked["train"])
    return {**asked, **{name: str(absolute(text)) for name, text in paths.items()}, "train": train}
