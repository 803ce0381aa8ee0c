"""The denoising loop: every window of a video, step after step, on one device or several.

Shapes: B windows of F frames, all frames of the video together A; h and w latent size;
T audio tokens a frame of E channels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from vexpress.faces.v_kps_image import draw_all
from vexpress.inference.allocator import keep_freed_memory
from vexpress.inference.settings import Sampling
from vexpress.inference.windows import plan_windows
from vexpress.networks.attention import KeyValue
from vexpress.networks.conditions import Conditions
from vexpress.networks.denoising_unet import DenoisingUNet, Inner
from vexpress.networks.v_kps_guider import VKpsGuider

Batch = tuple[range, ...]
KEPT_BYTES = {"normal": 4 << 30, "low": 0}
"""Features of windows that a device keeps between steps; more windows compute theirs anew."""
INNER_BYTES = 4 << 30
"""Results of inner layers kept between steps, with low memory on the CPU; more windows are
computed in full."""


@dataclass(frozen=True)
class DenoiseInputs:
    """What happens in the video: its points (A, 3, 2), audio tokens (A, T, E), and size."""

    points: np.ndarray
    tokens: torch.Tensor
    size: tuple[int, int]
    """Width and height, pixels."""


@dataclass
class DeviceWorker:
    """One U-Net on one device, with what it knows about the video."""

    unet: DenoisingUNet
    guider: VKpsGuider
    reference: Mapping[str, KeyValue]
    scene: DenoiseInputs
    sampling: Sampling
    _known: dict[Batch, Conditions] = field(default_factory=dict)
    _known_bytes: int = 0
    _inner: dict[tuple[Batch, bool], torch.Tensor] = field(default_factory=dict)

    def predict(
        self, latents: torch.Tensor, timestep: torch.Tensor, batch: Batch, step: int
    ) -> torch.Tensor:
        """Guided velocity of a batch of windows, (B, 4, F, h, w), on this worker's device."""
        latents = latents.to(self.unet.device, self.unet.dtype, non_blocking=True)
        timestep = timestep.to(self.unet.device, non_blocking=True)
        seen = self._half(latents, timestep, batch, step, self._conditions(batch))
        if not self.sampling.guides(step):
            return seen.float()
        blind = self._half(latents, timestep, batch, step, None).float()
        return blind + self.sampling.guidance * (seen.float() - blind)

    def _half(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        batch: Batch,
        step: int,
        conditions: Conditions | None,
    ) -> torch.Tensor:
        sampling = self.sampling
        weights = sampling.reference_weight, sampling.audio_weight
        if sampling.reuse_every == 1:
            return self.unet(latents, timestep, conditions, *weights)
        half = batch, conditions is None
        kept = self._inner.pop(half, None)
        inner = Inner(None if kept is None else kept.to(latents.device), sampling.reuses(step))
        velocity = self.unet(latents, timestep, conditions, *weights, inner)
        if sampling.reuses(step + 1) and (conditions is not None or sampling.guides(step + 1)):
            self._keep(half, inner)
        return velocity

    def _keep(self, half: tuple[Batch, bool], inner: Inner) -> None:
        """Keep the result of the inner layers for the next step, where memory allows."""
        assert inner.kept is not None
        size = sum(kept.nbytes for kept in self._inner.values()) + inner.kept.nbytes
        if size <= INNER_BYTES:
            self._inner[half] = inner.kept.cpu() if self.sampling.memory == "low" else inner.kept

    def _conditions(self, batch: Batch) -> Conditions:
        """Features of a batch of windows: computed once where memory allows."""
        if batch in self._known:
            return self._known[batch]
        audio = torch.stack([self.scene.tokens[w.start : w.stop] for w in batch])
        audio = audio.to(self.unet.device, self.unet.dtype)
        conditions = Conditions(
            self.reference, self.unet.project_audio(audio), self._kps_features(batch)
        )
        size = _bytes_of(conditions)
        if self._known_bytes + size <= KEPT_BYTES[self.sampling.memory]:
            self._known[batch] = conditions
            self._known_bytes += size
        return conditions

    def _kps_features(self, batch: Batch) -> torch.Tensor:
        width, height = self.scene.size
        drawn = [draw_all(self.scene.points[w.start : w.stop], height, width) for w in batch]
        images = torch.from_numpy(np.stack(drawn)).to(self.guider.device)
        return self.guider(images.permute(0, 4, 1, 2, 3).to(self.guider.dtype) / 255)


def _bytes_of(conditions: Conditions) -> int:
    """Memory that is a window's own: V-Kps features, audio keys and values."""
    assert not isinstance(conditions.audio, torch.Tensor)
    tensors = [conditions.kps_features]
    for source in conditions.audio.values():
        tensors.extend(source if isinstance(source, tuple) else (source,))
    return sum(tensor.nbytes for tensor in tensors)


@torch.no_grad()
def denoise(
    latents: torch.Tensor,
    workers: Sequence[DeviceWorker],
    scheduler: Any,
    sampling: Sampling,
    on_step: Callable[[int, torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """Turn noise (1, 4, A, h, w) into latents of that shape, on the device it came on.

    A must be whole windows. `scheduler`: a diffusers scheduler whose timesteps are set, on
    the CPU. `on_step(step, timestep, latents)` may replace the latents; `on_batch` hears
    how many windows were done.
    """
    windows = plan_windows(latents.shape[2], sampling.window, sampling.overlap)
    batches = list(_batches(windows, sampling.windows_per_batch))
    counts = torch.zeros(latents.shape[2])
    for window in windows:
        counts[window.start : window.stop] += 1
    share = (1 / counts).view(1, 1, -1, 1, 1).to(latents.device)
    with ThreadPoolExecutor(len(workers)) as pool, keep_freed_memory(workers[0].unet.device):
        for step, timestep in enumerate(scheduler.timesteps):
            noisy = scheduler.scale_model_input(latents, timestep)
            velocity = torch.zeros_like(latents)
            for batch, found in _predict_all(pool, workers, noisy, timestep, batches, step):
                for window, one in zip(batch, found.to(latents.device), strict=True):
                    at = slice(window.start, window.stop)
                    velocity[:, :, at] += one * share[:, :, at]
                if on_batch:
                    on_batch(len(batch))
            latents = scheduler.step(velocity, timestep, latents).prev_sample
            if on_step:
                latents = on_step(step, timestep, latents)
    return latents


def _batches(windows: list[range], size: int) -> Iterator[Batch]:
    for start in range(0, len(windows), size):
        yield tuple(windows[start : start + size])


def _predict_all(
    pool: ThreadPoolExecutor,
    workers: Sequence[DeviceWorker],
    noisy: torch.Tensor,
    timestep: torch.Tensor,
    batches: list[Batch],
    step: int,
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Predict all batches; batch i is always worker i mod n's, who knows its features."""

    def predict(index: int, worker: DeviceWorker) -> torch.Tensor:
        windows = [noisy[0, :, w.start : w.stop] for w in batches[index]]
        with torch.no_grad():
            return worker.predict(torch.stack(windows), timestep, batches[index], step)

    def share(worker: int) -> list[torch.Tensor]:
        return [predict(i, workers[worker]) for i in range(worker, len(batches), len(workers))]

    if len(workers) == 1:
        for index, batch in enumerate(batches):
            yield batch, predict(index, workers[0])
        return
    shares = list(pool.map(share, range(len(workers))))
    for index, batch in enumerate(batches):
        yield batch, shares[index % len(workers)][index // len(workers)]
