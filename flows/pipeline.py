"""The whole way as one run: from raw videos to videos of a model trained on them.

    curate ─ gate ─ train (three stages) ─ generate a sample ─ evaluate ─ generate requests

Each box but the gate is a flow of its own. `here` they run one after the other in this
process. As `deployments` each is started by name on the server and may live in another work
pool: it is told names of data, and of the snapshot that the gate saw, never data. What is
done is not done again, so a pipeline that was stopped goes on where it was.
"""

import pkgutil
import time
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelling

from vexpress.flows.server.deployments import FILE, read
from vexpress.flows.settings import DataGate, TrainForm
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError, VexpressDataError
from vexpress.schemas.query import run_query
from vexpress.schemas.row import Model
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate.request_table import is_query
from vexpress.tasks.media.source import absolute
from vexpress.tasks.train.run import absolute_paths

Place = Literal["here", "deployments"]
LOOK_EVERY_S = 2.0


class PipelineStopped(VexpressDataError):  # noqa: N818 - it says what happened
    """A gate did not hold, or a step did not complete."""


class GateReport(Model):
    """What the gate saw."""

    snapshot: str
    """State of the data set, by its file."""
    kept_minutes: float
    """Length of all kept clips, minutes."""
    reject_share: float
    """Share of the candidates that was rejected."""
    clips: int
    """Kept clips."""


class PipelineReport(Model):
    """What a run did."""

    steps: list[str]
    """Steps that completed, in order."""
    gate: GateReport
    """What the gate saw."""
    weights: str
    """Folder of the trained weights, in the published layout."""


@flow(name="pipeline")
def pipeline(
    source: str,
    dataset: str,
    run: str,
    train: TrainForm,
    curate: CurateConfig = CurateConfig(),
    gate: DataGate = DataGate(),
    generate: GenerateConfig = GenerateConfig(),
    sample: str | None = "SELECT clip_id FROM kept ORDER BY clip_id LIMIT 4",
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
    steps = Steps(place)
    steps.do("curate", source=source, dataset=dataset, config=dump(curate), weights=weights)
    seen = pass_data_gate(dataset, gate)
    settings = {"settings": dump(train), "snapshot": seen.snapshot}
    steps.do("train", source=dataset, run=run, **settings)
    made = str(Path(run) / "weights")
    for table in filter(None, (sample, requests)):
        told = {"config": dump(generate), "weights": made}
        steps.do("generate", requests=table, dataset=dataset, **told)
        if table == sample:
            steps.do("evaluate", dataset=dataset, weights=weights)
    report = PipelineReport(steps=steps.done, gate=seen, weights=made)
    create_markdown_artifact(describe(report, dataset), key="pipeline", description="What was done")
    return report


class Steps:
    """Does steps by name, and keeps which are done."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.done: list[str] = []

    def do(self, name: str, **parameters: Any) -> None:
        """Do a step to its end. Raises PipelineStopped, or what the step raised here."""
        if self.place == "here":
            entry = {d["name"]: d["entrypoint"] for d in read(FILE)["deployments"]}[name]
            pkgutil.resolve_name(entry)(**parameters)
        else:
            run_there(name, parameters)
        self.done.append(name)


def require_server() -> None:
    """Raise ConfigError where no server is named that could have deployments."""
    if not PREFECT_API_URL.value():
        raise ConfigError(
            "--deployments: expected a server in PREFECT_API_URL, found none. Start one with "
            "`vexpress up`, then set PREFECT_API_URL to what it says."
        )


def run_there(name: str, parameters: dict[str, Any]) -> None:
    """Start a deployment as a step of this run and wait; when this is stopped, so is that.

    Raises PipelineStopped where there is none, or its run did not complete.
    """
    try:
        started: Any = run_deployment(f"{name}/{name}", parameters=parameters, timeout=0)
    except ObjectNotFound as error:
        raise PipelineStopped(
            f"no deployment {name} on {PREFECT_API_URL.value()}: run `vexpress up`, or for a "
            "server of your own `python -m vexpress.flows.server.deployments`"
        ) from error
    get_run_logger().info("%s runs as %s", name, started.name)
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
            f"{name}: expected run {started.name} to complete, it ended as {state.name}: "
            f"{state.message}. Put right what it says, then run the pipeline again: it goes on."
        )


def read_state(run: UUID) -> Any:
    """Return the state of a run."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run).state


@task(name="pass-data-gate", cache_policy=NO_CACHE, persist_result=False)
def pass_data_gate(dataset: str, gate: DataGate) -> GateReport:
    """Look at the data set. Raises PipelineStopped with the numbers where it is not enough."""
    seen = look(dataset)
    rows = [
        ("kept minutes", seen.kept_minutes, f"≥ {gate.min_kept_minutes:g}"),
        ("rejected share", seen.reject_share, f"≤ {gate.max_reject_share:g}"),
    ]
    good = [
        seen.kept_minutes >= gate.min_kept_minutes,
        seen.reject_share <= gate.max_reject_share,
    ]
    table = [
        {"what": what, "found": round(found, 3), "expected": rule, "passed": "yes" if ok else "no"}
        for (what, found, rule), ok in zip(rows, good, strict=True)
    ]
    create_table_artifact(table, key="data-gate", description=f"The data set at {seen.snapshot}")
    if not all(good):
        numbers = "\n".join(f"  {what}: {found:.3f}, expected {rule}" for what, found, rule in rows)
        raise PipelineStopped(
            f"{dataset} does not pass the gate before training:\n{numbers}\n"
            "Nothing was trained. Add videos, look at the reasons in report.html, or change `gate`."
        )
    return seen


def look(dataset: str) -> GateReport:
    """Return the numbers of a data set as it is after its last curation."""
    kept, rejected, minutes, snapshot = run_query(
        Dataset(dataset),
        "SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM rejected), kept_hours * 60, "
        "(SELECT snapshot FROM runs WHERE kind = 'curate' ORDER BY finished_at DESC LIMIT 1) "
        "FROM hours",
    ).fetchall()[0]
    share = rejected / (kept + rejected) if kept + rejected else 0.0
    return GateReport(snapshot=snapshot, kept_minutes=minutes, reject_share=share, clips=kept)


def dump(settings: Model | Any) -> dict[str, Any]:
    """Return settings as a server takes them."""
    tree: dict[str, Any] = settings.model_dump(mode="json")
    return tree


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
