"""Train one stage, from wherever it was stopped to its end.

Runs in every worker; torch.distributed is used where it was started. What a run leaves
where: `vexpress/training/stage_job.py`.
"""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from vexpress.errors import VExpressError
from vexpress.files import write_text
from vexpress.inference.allocator import keep_freed_memory
from vexpress.inference.pipeline import published_scheduler
from vexpress.training import distributed
from vexpress.training.audio_features import read_vectors
from vexpress.training.autoencoder import load_autoencoder
from vexpress.training.batches import model_inputs, to_device
from vexpress.training.checkpoints import Checkpoints
from vexpress.training.clips import ClipError, ClipIndex, check_lengths, split_clips
from vexpress.training.diffusion import snr_weights, velocity_losses
from vexpress.training.loggers import Logger, open_loggers
from vexpress.training.metrics_log import MetricsLog, at_step, latest, read_metrics
from vexpress.training.model import TrainingModel, empty_like
from vexpress.training.optimiser import WeightsEma, make_optimiser, set_learning_rate
from vexpress.training.preview import generate_window, write_preview
from vexpress.training.samples import Sample, StageSamples, StepSampler, is_unconditional
from vexpress.training.settings import rate_at
from vexpress.training.stage_job import CLIPS, StageJob, vae_folder
from vexpress.training.start_weights import saved_networks, start_networks, write_networks
from vexpress.training.trainable_parts import set_trained, zero_outputs
from vexpress.training.validation import Validator

log = logging.getLogger(__name__)
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TrainingDiverged(VExpressError):  # noqa: N818
    """The loss is no longer a number."""


class StageRun:
    """One worker's part in a stage."""

    def __init__(self, job: StageJob, device: torch.device) -> None:
        self.job, self.device = job, device
        self.settings, self.stage = job.settings, job.settings.stage(job.number)
        self.index = ClipIndex(job.run / CLIPS)
        check_lengths(
            self.index.clips,
            self.stage.frames + self.settings.data.reference_margin,
            job.number,
        )
        self.scheduler = published_scheduler()
        self.vae = load_autoencoder(vae_folder(self.settings)).to(device)
        self.samples, self.validator = self._samples()
        self.model = self._model()
        self.trained = set_trained(self.model, self.stage.trains)
        self.wrapped = distributed.wrap(self.model, self.settings.engine.sharding, device)
        if self.wrapped is self.model and distributed.workers() > 1:
            self.trained = dict(self._learning())  # sharding replaced the parameters
        self.optimiser = make_optimiser(list(self.trained.values()), self.stage)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.stage.precision == "float16")
        decay = self.stage.ema_decay
        self.ema = WeightsEma(self.trained, decay) if decay else None
        self.checkpoints = Checkpoints(job.folder / "checkpoints", self.settings.engine.keep_last)
        self.step = self._resume()
        self.metrics = self._metrics()
        self.loggers = self._loggers()

    def run(self) -> None:
        """Train what is left, measure, write the weights, and say so in `done.json`."""
        with keep_freed_memory(self.device):
            try:
                self._train()
            finally:
                for logger in self.loggers:
                    logger.close()
            self._finish()

    def _train(self) -> None:
        if self.step == 0:
            self._write(0, "validation", {"held_out_loss": self.validator.loss(self.model)})
        batches = self._batches()
        while self.step < self.stage.steps:
            self._train_step(batches)
            if self._is_due(self.settings.engine.validate_every):
                self._validate()
            if self._is_due(self.settings.engine.save_every):
                self._save()

    def _train_step(self, batches: Iterator[Sample]) -> None:
        """One optimiser step: `accumulate` backward passes."""
        start, waited, total = time.perf_counter(), 0.0, 0.0
        unconditional = is_unconditional(self.stage, self.settings.seed, self.step)
        rate = rate_at(self.stage.learning_rate, self.step)
        set_learning_rate(self.optimiser, rate)
        for number in range(1, self.stage.accumulate + 1):
            asked = time.perf_counter()
            batch = to_device(next(batches), self.device)
            waited += time.perf_counter() - asked
            with distributed.synchronising(self.wrapped, number == self.stage.accumulate):
                loss = self._loss(batch, unconditional) / self.stage.accumulate
                self.scaler.scale(loss).backward()
            total += distributed.mean_over_workers(loss.detach())
        self._check(total)
        norm = self._update()
        self.step += 1
        values = {
            "loss": total,
            "gradient_norm": norm,
            "learning_rate": rate,
            "unconditional": float(unconditional),
            "seconds": time.perf_counter() - start,
            "seconds_waiting": waited,
        }
        self._write(self.step, "train", values)

    def _loss(self, batch: Sample, unconditional: bool) -> torch.Tensor:
        precision = DTYPES.get(self.stage.precision)
        with torch.autocast(self.device.type, dtype=precision, enabled=precision is not None):
            inputs, target = model_inputs(batch, self.vae, self.scheduler)
            predicted = self.wrapped(**inputs, unconditional=unconditional)
        weight = rate_at(self.stage.lip_weight, self.step)
        losses = velocity_losses(predicted, target, batch["lip_mask"], weight)
        snr = snr_weights(self.scheduler, batch["timestep"], self.stage.snr_gamma)
        return (losses * snr).mean()

    def _update(self) -> float:
        """Clip, step, forget the gradients; returns their norm before clipping."""
        self.scaler.unscale_(self.optimiser)
        parameters = self.trained.values()
        norm = torch.nn.utils.clip_grad_norm_(parameters, self.stage.clip_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.optimiser.zero_grad(set_to_none=True)
        if self.ema:
            self.ema.step(self.trained)
        return float(distributed.full_tensor(norm))

    def _check(self, loss: float) -> None:
        if loss != loss or loss == float("inf"):
            raise TrainingDiverged(
                f"stage {self.job.number}, step {self.step}: expected a finite loss, found {loss}. "
                "The last checkpoint is complete. Lower learning_rate, or use float32 or bfloat16, "
                "in a new run."
            )

    def _validate(self) -> None:
        self._write(self.step, "validation", {"held_out_loss": self.validator.loss(self.model)})
        batch = to_device(self.validator.batch(0), self.device)
        generated = generate_window(self.model, self.vae, batch)
        if distributed.rank() == 0:
            path = self.job.folder / f"previews/step-{self.step:08d}.png"
            write_preview(path, batch, generated)

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.stage.steps

    def _save(self) -> None:
        state = {
            "step": self.step,
            "model": distributed.model_state(self.wrapped),
            "optimiser": distributed.optimiser_state(self.wrapped, self.optimiser),
            "scaler": self.scaler.state_dict(),
            "mean": self.ema.state() if self.ema else None,
        }
        if distributed.rank() == 0:
            self.checkpoints.save(self.step, state)

    def _resume(self) -> int:
        """Take over the newest checkpoint; returns its step, 0 where there is none."""
        newest = self.checkpoints.newest_complete() if distributed.rank() == 0 else None
        step = distributed.broadcast_from_first(newest or 0, self.device)
        if step == 0:
            return 0
        state = self.checkpoints.load(step)
        distributed.load_model_state(self.wrapped, state["model"])
        distributed.load_optimiser_state(self.wrapped, self.optimiser, state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        if self.ema and state["mean"]:
            self.ema.load(state["mean"])
        log.info("stage %d: going on after step %d", self.job.number, step)
        return step

    def _finish(self) -> None:
        """Measure once more, export, and write `done.json` last."""
        found = self.validator.sensitivity(self.model)
        state = distributed.model_state(self.wrapped)
        means = self.ema.state()["means"] if self.ema else {}
        if self.metrics is None:
            return
        self.metrics.close()
        metrics = read_metrics(self.job.folder / "metrics.jsonl")
        found["held_out_loss_before"] = at_step(metrics, "validation", "held_out_loss", 0) or 0.0
        found["held_out_loss"] = latest(metrics, "validation", "held_out_loss") or 0.0
        self._export("weights", state)
        if means:
            self._export("weights_mean", {**state, **means})
        done = {
            "stage": self.job.number,
            "steps": self.step,
            "held_out": self.settings.data.validation_share > 0,
            "lips": sorted({clip.lips for clip in self.index.clips}),
            "measurements": found,
        }
        write_text(self.job.folder / "done.json", json.dumps(done, indent=1))

    def _export(self, name: str, state: dict[str, Any]) -> None:
        """Write full weights in the published layout."""
        model = empty_like(self.model)
        model.load_state_dict(state, assign=True)
        write_networks(self.job.folder / name, model.networks)

    def _model(self) -> TrainingModel:
        """The model as the stage starts: from the stage before, or where none was run, `start`."""
        if self.job.number > 1 and self.job.before.is_dir():
            networks = saved_networks(self.job.before)
        else:
            networks = start_networks(self.settings, self.audio_dim)
        if self.stage.zero_at_start:
            zero_outputs(networks.denoising_unet)
        if self.stage.gradient_checkpointing:
            networks.denoising_unet.enable_gradient_checkpointing()
            networks.reference_net.enable_gradient_checkpointing()
        return TrainingModel(networks).to(self.device).train()

    @property
    def audio_dim(self) -> int:
        """Channels of the clips' audio vectors."""
        return int(read_vectors(Path(self.index.clips[0].sound)).shape[1])

    def _learning(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        return ((n, p) for n, p in self.model.named_parameters() if p.requires_grad)

    def _samples(self) -> tuple[StageSamples, Validator]:
        data, seed = self.settings.data, self.settings.seed
        train, held = split_clips(self.index.clips, data.validation_share, seed)
        if len(self.index) < 2:
            raise ClipError(
                "training: expected at least two clips, to exchange their sound in the gates; "
                "found one."
            )
        a_step = self.stage.batch * self.stage.accumulate * distributed.workers()
        samples = StageSamples(self.index, train, self.stage, data, seed, samples_a_step=a_step)
        checks = samples.for_validation(held)
        return samples, Validator(checks, self.vae, self.scheduler, self.device)

    def _batches(self) -> Iterator[Sample]:
        sampler = StepSampler(self.stage, distributed.rank(), distributed.workers(), self.step)
        loader = DataLoader(
            self.samples,
            batch_sampler=sampler,
            num_workers=self.settings.data.loader_workers,
            pin_memory=self.device.type == "cuda",
        )
        return iter(loader)

    def _metrics(self) -> MetricsLog | None:
        if distributed.rank() != 0:
            return None
        return MetricsLog(self.job.folder / "metrics.jsonl", self.step)

    def _loggers(self) -> list[Logger]:
        if distributed.rank() != 0:
            return []
        return open_loggers(self.settings.engine.loggers, self.job.folder, self.step)

    def _write(self, step: int, kind: str, values: dict[str, float]) -> None:
        if self.metrics:
            self.metrics.write(step, kind, values)
        for logger in self.loggers:
            logger.log(step, {f"{kind}/{name}": value for name, value in values.items()})
