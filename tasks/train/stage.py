"""Train one stage: in this process, or by Ray Train on one machine or a cluster.

Ray Train starts the workers, joins them (gloo on CPUs, NCCL on GPUs) and replaces lost
ones; the work itself is `vexpress.training.stage_run`, which resumes by itself. The run's
folder must be seen by all machines.
"""

import logging
import os
from typing import Any

import torch

from vexpress.errors import VExpressError
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.engine.ray_cluster import start_ray
from vexpress.training.settings import EngineSettings
from vexpress.training.stage_job import StageJob, read_done
from vexpress.training.stage_run import StageRun

log = logging.getLogger(__name__)


def train_stage(job: StageJob) -> dict[str, Any]:
    """Train what is left of a stage; returns what its `done.json` says.

    Raises ConfigError when the cluster lacks what is asked for, and the errors of StageRun.
    """
    if read_done(job) is None:
        _with_ray(job) if uses_ray(job.settings.engine) else _here(job)
    done = read_done(job)
    assert done is not None, "a stage that ends without an error leaves done.json"
    return done


def uses_ray(engine: EngineSettings) -> bool:
    """Whether a stage runs on Ray: where asked for, for several workers, or for a cluster."""
    if engine.kind == "auto":
        return engine.workers > 1 or "RAY_ADDRESS" in os.environ
    if engine.kind == "local" and engine.workers > 1:
        raise ConfigError(
            f"engine.kind=local: expected one worker, found {engine.workers}. Set it to ray."
        )
    return engine.kind == "ray"


def _here(job: StageJob) -> None:
    engine = job.settings.engine
    if engine.gpu and not torch.cuda.is_available():
        raise ConfigError("engine.gpu=true: expected a GPU, found none. Set it to false.")
    if not engine.gpu:
        torch.set_num_threads(max(1, round(engine.cpus_per_worker)))
    StageRun(job, torch.device("cuda" if engine.gpu else "cpu")).run()


def _with_ray(job: StageJob) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    engine = job.settings.engine
    started = start_ray()
    try:
        _check_cluster(engine)
        trainer = TorchTrainer(
            _work,
            train_loop_config={"job": job.model_dump_json()},
            torch_config=TorchConfig(backend="nccl" if engine.gpu else "gloo"),
            scaling_config=ScalingConfig(
                num_workers=engine.workers,
                use_gpu=engine.gpu,
                resources_per_worker={"CPU": engine.cpus_per_worker, "GPU": int(engine.gpu)},
            ),
            run_config=RunConfig(
                name=f"stage_{job.number}",
                storage_path=str((job.run / "ray").resolve()),
            ),
        )
        _fit(trainer, engine.max_failures)
    finally:
        if started:
            import ray

            ray.shutdown()


def _fit(trainer: Any, max_failures: int) -> None:
    """Run the trainer, again where workers were lost; what a worker raised on purpose is
    raised here as it was, at once: Ray's own count would try that again too."""
    from ray.train import WorkerGroupError

    for left in reversed(range(max_failures + 1)):
        try:
            trainer.fit()
            return
        except WorkerGroupError as error:
            for failure in error.worker_failures.values():
                cause = getattr(failure, "cause", None) or failure
                if isinstance(cause, VExpressError):
                    raise cause from error
            if not left:
                raise
            log.warning("%s; going on from the last checkpoint", error)


def _work(config: dict[str, str]) -> None:
    """What each worker runs."""
    import ray.train.torch

    job = StageJob.model_validate_json(config["job"])
    StageRun(job, ray.train.torch.get_device()).run()


def _check_cluster(engine: EngineSettings) -> None:
    """Ray itself would wait for ever."""
    import ray

    found = ray.cluster_resources()
    wanted = {"CPU": engine.workers * engine.cpus_per_worker, "GPU": engine.workers * engine.gpu}
    for kind, amount in wanted.items():
        if amount > found.get(kind, 0):
            raise ConfigError(
                f"training on {engine.workers} workers: expected {amount:g} {kind}s in the Ray "
                f"cluster, found {found.get(kind, 0):g}. Lower engine.workers, or "
                "engine.cpus_per_worker, set engine.gpu to false, or add nodes."
            )
