"""Run a chain of steps over rows, here or on a Ray cluster, with identical results.

`local` runs in this process. `ray` runs each stage (neighbouring steps that share a
worker) as a pool of actors in Ray Data: rows stream from stage to stage, a full stage
holds back the one before it, a lost actor is replaced and its row run again. One ledger,
on the driver's machine, serves all of them.
"""

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from vexpress.errors import RunError
from vexpress.schemas.errors import ConfigError, stop_when_full
from vexpress.schemas.row import Model, formerly
from vexpress.tasks.engine.ledger import Ledger, LedgerLike, fetch_ledger
from vexpress.tasks.engine.ray_cluster import start_ray
from vexpress.tasks.engine.step import Context, Resources, Step, passes_by
from vexpress.tasks.engine.units import decode, encode

STOP = b"!"
"""Begins what is no unit but an error that stops the run."""


class EngineConfig(Model):
    """Where the work runs and how much of it at once."""

    kind: Literal["local", "ray"] = "local"
    """`local`: this process. `ray`: a pool of actors a stage, on this machine or a cluster."""
    min_workers: int = Field(1, ge=1)
    """Least workers a stage (ray)."""
    max_workers: int = Field(4, ge=1)
    """Most workers a stage (ray)."""
    gpus_per_worker: float = Field(0, ge=0)
    """GPUs, also fractions such as 0.25, of each worker whose step can use one; 0: none."""
    batch_videos: int = formerly("wave_videos", "batch_videos", 100, ge=1)
    """Videos a batch: what is committed together."""


@dataclass(frozen=True)
class Stage:
    """Neighbouring steps that run in the same worker."""

    steps: tuple[tuple[type[Step[Any]], Any], ...]
    """Step classes and their configurations, in order."""

    def resources(self, config: EngineConfig) -> Resources:
        """Return what one worker of the stage needs."""
        wanted = [step.RESOURCES for step, _ in self.steps]
        can_use_gpu = any(resources.gpus for resources in wanted)
        return Resources(
            cpus=max(resources.cpus for resources in wanted),
            gpus=config.gpus_per_worker if can_use_gpu else 0,
        )

    def open(self, context: Context) -> list[Step[Any]]:
        """Make the steps; weights load when the first row needs them."""
        return [step(config, context) for step, config in self.steps]


class LocalEngine:
    """All steps in this process."""

    name = "local"

    def __init__(self, config: EngineConfig, context: Context) -> None:
        if config.gpus_per_worker:
            require_gpu(config)
        self.context = context
        self.ledger: Any = Ledger(context.dataset.ledger_path)
        self._open: dict[Stage, list[Step[Any]]] = {}

    def run(self, stages: list[Stage], rows: Iterable[Model]) -> Iterator[Model]:
        """Yield what comes out of the last step, row after row."""
        steps = [step for stage in stages for step in self._steps(stage)]
        for row in rows:
            yield from run_steps(steps, row, self.ledger)

    def _steps(self, stage: Stage) -> list[Step[Any]]:
        """Open equal stages once, so that weights load once a run, not once a batch."""
        if stage not in self._open:
            self._open[stage] = stage.open(self.context)
        return self._open[stage]

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()


def require_gpu(config: EngineConfig) -> None:
    """Raise ConfigError where this machine has no GPU that could be used."""
    import torch

    if not torch.cuda.is_available():
        raise ConfigError(
            f"engine.gpus_per_worker={config.gpus_per_worker:g}: expected a CUDA device here, "
            "found none. Set it to 0."
        )


def run_steps(steps: list[Step[Any]], row: Model, ledger: LedgerLike) -> Iterator[Model]:
    """Yield what `row` becomes after `steps`."""
    if not steps:
        yield row
        return
    step, rest = steps[0], steps[1:]
    answers = [row] if passes_by(step, row) else step.run(row, ledger)
    for answer in answers:
        yield from run_steps(rest, answer, ledger)


class RayEngine:
    """A pool of actors a stage, through Ray Data."""

    name = "ray"

    def __init__(self, config: EngineConfig, context: Context) -> None:
        self.config = config
        # The caller's progress cannot be told from another process.
        self.context = Context(context.dataset, context.weights, context.gpu, nothing)
        Ledger(context.dataset.ledger_path).close()  # says what is wrong with it before Ray starts
        self._started_ray = start_ray()
        self.ledger: Any = RemoteLedger.start(context.dataset.ledger_path)

    def run(self, stages: list[Stage], rows: Iterable[Model]) -> Iterator[Model]:
        """Yield what comes out of the last step, in the order it is ready.

        Raises ConfigError at once when the cluster lacks what a stage asks for.
        """
        import ray

        units = [{"unit": encode(row)} for row in rows]
        if not units:
            return
        shares = fit_resources([s.resources(self.config) for s in stages], self.config)
        data = ray.data.from_items(units, override_num_blocks=min(len(units), 1000))
        for stage, share in zip(stages, shares, strict=True):
            data = data.flat_map(
                StageWorker,
                fn_constructor_args=(stage, self.context, self.ledger),
                compute=ray.data.ActorPoolStrategy(
                    min_size=self.config.min_workers, max_size=self.config.max_workers
                ),
                num_cpus=share.cpus,
                num_gpus=share.gpus or None,
            )
        for row in data.iter_rows():
            raise_stop(row["unit"])
            yield decode(row["unit"])

    def close(self) -> None:
        """Close the ledger, and Ray where this engine started it."""
        import ray

        self.ledger.close()
        if self._started_ray:
            ray.shutdown()


def nothing(seconds: float) -> None:
    """Do nothing with the seconds that are done."""


class StageWorker:
    """The actor of a stage."""

    def __init__(self, stage: Stage, context: Context, ledger: "RemoteLedger") -> None:
        self._steps = stage.open(context)
        self._ledger = ledger
        self._root = context.dataset.root

    def __call__(self, row: dict[str, bytes]) -> list[dict[str, bytes]]:
        """Answer one encoded row; what stops the run travels to the driver as a row of its own."""
        if row["unit"].startswith(STOP):
            return [row]
        try:
            with stop_when_full(self._root):
                answers = run_steps(self._steps, decode(row["unit"]), self._ledger)
                return [{"unit": encode(answer)} for answer in answers]
        except RunError as error:
            return [{"unit": STOP + pickle.dumps(error)}]


def raise_stop(unit: bytes) -> None:
    """Raise what stopped a worker.

    Not raised in the worker: Ray Data (2.60) prints several screens about an exception and adds
    advice of its own to the message.
    """
    if unit.startswith(STOP):
        raise pickle.loads(unit.removeprefix(STOP))


class RemoteLedger:
    """A ledger in an actor on the driver's machine, with the methods of `Ledger`."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    @classmethod
    def start(cls, path: Path) -> "RemoteLedger":
        """Start the actor; a ledger in use is an error here, at once."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "scheduling_strategy": here}
        remote = cls(ray.remote(Ledger).options(**options).remote(path))
        remote.tallies()
        return remote

    def __getattr__(self, method: str) -> Any:
        if method.startswith("_"):
            raise AttributeError(method)
        return lambda *arguments: self._call(method, *arguments)

    def _call(self, method: str, *arguments: Any) -> Any:
        import ray

        return ray.get(getattr(self._actor, method).remote(*arguments))


def fit_resources(wanted: list[Resources], config: EngineConfig) -> list[Resources]:
    """Return what each stage's workers get; CPU shares shrink on a machine with few cores.

    Raises ConfigError when GPUs are asked for that no node has: Ray itself would wait for ever.
    """
    import ray

    cluster = ray.cluster_resources()
    most_gpus = max((node["Resources"].get("GPU", 0) for node in ray.nodes()), default=0)
    for share in wanted:
        if share.gpus > most_gpus:
            raise ConfigError(
                f"engine.gpus_per_worker={share.gpus:g}: expected a node with that many GPUs, "
                f"found at most {most_gpus:g}. Set it to 0, or start a node that has them."
            )
    needed = sum(share.cpus for share in wanted) * config.min_workers
    shrink = min(1.0, 0.9 * cluster.get("CPU", 1) / needed)
    return [Resources(round(share.cpus * shrink, 2), share.gpus) for share in wanted]


Engine = LocalEngine | RayEngine


def open_engine(config: EngineConfig, context: Context) -> Engine:
    """Open the engine asked for, for the one run that writes to the data set."""
    fetch_ledger(context.dataset)
    kind = RayEngine if config.kind == "ray" else LocalEngine
    engine: Engine = kind(config, context)
    context.dataset.clear_scratch()
    return engine
