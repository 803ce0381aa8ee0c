"""Who makes the videos of a run: this process, or actors of Ray with the model resident.

An actor takes a run of requests with one portrait, one request at a time; when there are no
runs left it takes over what another has not begun. A request whose actor died goes to
another actor; one that cost `attempts` actors is given up and becomes a row, `crashed`.
"""

import logging
from collections import Counter, deque
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from vexpress.errors import VExpressError
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.generation import Generation
from vexpress.tasks.engine.ray_cluster import start_ray
from vexpress.tasks.generate.config import Workers
from vexpress.tasks.generate.generator import GenerateJob, Generator, describe, require_device
from vexpress.tasks.generate.requests import PlannedVideo

log = logging.getLogger(__name__)
STARTS = 3
"""Actors that may fail to start before the run is given up."""
WAIT_S = 0.5
"""How long Ray is waited for at a time, so that a stopped run stops at once, seconds."""


class LocalPool:
    """All requests in this process, one after another."""

    name = "local"

    def __init__(self, job: GenerateJob) -> None:
        require_device(job)
        self._generator = Generator(job)

    def results(self, runs: list[list[PlannedVideo]]) -> Iterator[Generation]:
        """Yield the row of each request."""
        for run in runs:
            yield from map(self._generator.make, run)

    def close(self) -> None:
        """Nothing is left open."""


class RayPool:
    """Actors on this machine or a cluster."""

    name = "ray"

    def __init__(self, job: GenerateJob) -> None:
        self.job = job
        self._started_ray = start_ray()
        try:
            self._cpus = fit_workers(job.config.workers)
        except ConfigError:
            self.close()
            raise
        self._own: dict[Any, deque[PlannedVideo]] = {}
        self._running: dict[Any, tuple[Any, PlannedVideo | None]] = {}
        self._runs: deque[list[PlannedVideo]] = deque()
        self._again: deque[PlannedVideo] = deque()
        self._deaths: Counter[str] = Counter()
        self._failed_starts = 0
        self._numbers = iter(range(1, 1_000_000))

    def results(self, runs: list[list[PlannedVideo]]) -> Iterator[Generation]:
        """Yield the row of each request, in the order they are ready.

        Raises what is wrong with the run: RunError, or an InputError of settings.
        """
        import ray

        self._runs.extend(runs)
        left = sum(map(len, runs))
        for _ in range(min(self.job.config.workers.count, left)):
            self._start()
        while left:
            ready, _ = ray.wait(list(self._running), num_returns=1, timeout=WAIT_S)
            for reference in ready:
                row = self._answer(reference)
                if row is not None:
                    left -= 1
                    yield row

    def _start(self) -> None:
        """Start an actor; it gets work when its model is loaded."""
        import ray

        workers = self.job.config.workers
        options: dict[str, Any] = {"num_cpus": self._cpus, "max_restarts": 0, "max_task_retries": 0}
        if workers.gpus_per_worker:
            options["num_gpus"] = workers.gpus_per_worker
        name = f"actor {next(self._numbers)}"
        actor = ray.remote(Generator).options(**options).remote(self.job, name)
        self._own[actor] = deque()
        self._running[actor.load.remote()] = (actor, None)

    def _answer(self, reference: Any) -> Generation | None:
        """Return the row that is ready, or None; give its actor the next request."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        actor, planned = self._running.pop(reference)
        try:
            answer = ray.get(reference)
        except RayTaskError as error:
            # Only what is wrong with the whole run leaves a worker as an exception.
            cause = error.cause
            if isinstance(cause, VExpressError):
                raise type(cause)(str(cause)) from None
            raise
        except RayError as error:
            return self._lost(actor, planned, error)
        self._give(actor)
        return answer if planned is not None else None

    def _give(self, actor: Any) -> None:
        planned = self._next(actor)
        if planned is not None:
            attempt = self._deaths[planned.request_id] + 1
            self._running[actor.make.remote(planned, attempt)] = (actor, planned)

    def _next(self, actor: Any) -> PlannedVideo | None:
        if self._again:
            return self._again.popleft()
        own = self._own[actor]
        if not own and self._runs:
            own.extend(self._runs.popleft())
        if own:
            return own.popleft()
        most = max(self._own.values(), key=len)
        return most.pop() if most else None

    def _lost(self, actor: Any, planned: PlannedVideo | None, error: Any) -> Generation | None:
        """Replace a dead actor; return the row of a request that is given up."""
        rest = self._own.pop(actor)
        if rest:
            self._runs.appendleft(list(rest))
        if planned is None:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise ConfigError(
                    f"workers: expected actors that start, {STARTS} died while they loaded the "
                    f"model. Is there memory for {self.job.config.workers.count} of them? ({error})"
                )
            self._start()
            return None
        self._deaths[planned.request_id] += 1
        deaths, most = self._deaths[planned.request_id], self.job.config.workers.attempts
        log.warning("request %s: its worker died (%d of %d)", planned.request_id, deaths, most)
        self._start()
        if deaths < most:
            self._again.append(planned)
            return None
        now = datetime.now(UTC).isoformat()
        return describe(
            planned,
            self.job,
            status="failed",
            reason="crashed",
            detail=f"its worker died {deaths} times on this request",
            attempt=deaths,
            started_at=now,
            finished_at=now,
        )

    def close(self) -> None:
        """Stop the actors, and Ray where this pool started it."""
        import ray

        for actor in getattr(self, "_own", {}):
            ray.kill(actor)
        if self._started_ray:
            ray.shutdown()


def fit_workers(workers: Workers) -> float:
    """Return the CPU cores of each actor, fewer than asked for on a small machine.

    Raises ConfigError when GPUs are asked for that the cluster lacks: Ray would wait for ever.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    share = workers.gpus_per_worker
    if share:
        gpus = [node.get("GPU", 0) for node in nodes]
        room = sum(int(n // share) if share >= 1 else int(n) * int(1 / share) for n in gpus)
        if room < workers.count:
            raise ConfigError(
                f"workers.count={workers.count} with workers.gpus_per_worker={share:g}: expected "
                f"room for as many, found {room} (GPUs of the nodes: "
                f"{', '.join(f'{n:g}' for n in gpus)}). Ask for fewer, or set gpus_per_worker to 0."
            )
    total = sum(node.get("CPU", 0) for node in nodes)
    return round(min(workers.cpus_per_worker, 0.9 * total / workers.count), 2)


Pool = LocalPool | RayPool


def open_pool(job: GenerateJob) -> Pool:
    """Open the pool asked for."""
    return RayPool(job) if job.config.workers.kind == "ray" else LocalPool(job)
