"""A plain, faithful V-Express inference: the baseline of `benchmarks/inference.py`.

It does what the published pipeline does, in its order, with the same weights as ours but
none of our shortcuts: reference features repeated for every frame and projected at every
step, both guidance halves computed in full in one batch, V-Kps features and audio tokens
of zeros for the unconditional half, contiguous memory, one frame decoded at a time, a
median that sorts at every pixel. Attention is torch's fused one, as upstream's was xformers'.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from vexpress.faces.v_kps_image import draw_all
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.settings import Sampling
from vexpress.inference.windows import plan_windows
from vexpress.networks.attention import attend
from vexpress.networks.conditions import Conditions
from vexpress.networks.transformer_block import DenoisingBlock, Pass


def plain_block(block: DenoisingBlock, h: torch.Tensor, run: Pass) -> torch.Tensor:
    """The block as published: keys and values anew, the reference once per frame."""
    assert run.conditions is not None
    h = block.attend_to_self(h)
    features = run.conditions.reference[block.name]
    assert isinstance(features, torch.Tensor)
    repeated = features[:, None].repeat(1, run.frames, 1, 1).flatten(0, 1)
    h = h + run.reference_weight * attend(block.attn1_5, block.norm1_5(h), repeated)
    tokens = run.conditions.audio_of(block.name)
    h = h + run.audio_weight * attend(block.attn2, block.norm2(h), tokens)
    return block.feed_forward(h)


class PlainPipeline:
    """Wraps our pipeline's networks; while it lives, their blocks run the plain way."""

    def __init__(self, pipeline: VExpressPipeline) -> None:
        self.pipeline = pipeline
        for network in (pipeline.denoising_unet, pipeline.v_kps_guider, pipeline.vae):
            network.to(memory_format=torch.contiguous_format)
        for _, block in pipeline.denoising_unet.denoising_blocks():
            block.forward = lambda h, run, block=block: plain_block(block, h, run)

    @torch.no_grad()
    def __call__(
        self,
        image: np.ndarray,
        points: np.ndarray,
        waveform: np.ndarray,
        size: tuple[int, int],
        sampling: Sampling,
        seed: int,
    ) -> np.ndarray:
        """Frames float32 (frames, height, width, 3), 0..1; the number is whole windows."""
        pipeline, frames = self.pipeline, len(points)
        features = pipeline.encode_reference(image, *size)
        tokens = pipeline.encode_audio(waveform, frames, frames)[None]
        drawn = torch.from_numpy(draw_all(points, size[1], size[0])).permute(3, 0, 1, 2)
        unet = pipeline.denoising_unet
        chunks = (drawn[None].float() / 255).split(16, dim=2)
        guided = (pipeline.v_kps_guider(c.to(unet.device, unet.dtype)) for c in chunks)
        kps = torch.cat(list(guided), dim=2)
        latents = pipeline.draw_noise(frames, *size, seed).to(unet.device)
        conditions = Conditions(
            {name: _with_zeros(feature) for name, feature in features.items()},
            _with_zeros(tokens),
            _with_zeros(kps),
        )
        latents = self._denoise(latents, conditions, sampling)
        return np.stack(list(self._decode(latents)))

    def _denoise(
        self, latents: torch.Tensor, conditions: Conditions, sampling: Sampling
    ) -> torch.Tensor:
        scheduler = self.pipeline.scheduler
        scheduler.set_timesteps(sampling.steps)
        windows = plan_windows(latents.shape[2], sampling.window, sampling.overlap)
        counts = torch.zeros(latents.shape[2], device=latents.device)
        for window in windows:
            counts[list(window)] += 1
        for timestep in scheduler.timesteps:
            velocity = torch.zeros_like(latents)
            for window in windows:
                found = self._guided(
                    latents[:, :, list(window)], timestep, conditions, window, sampling
                )
                velocity[:, :, list(window)] += found / counts[list(window)].view(1, 1, -1, 1, 1)
            latents = scheduler.step(velocity, timestep, latents).prev_sample
        return latents

    def _guided(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        conditions: Conditions,
        window: range,
        sampling: Sampling,
    ) -> torch.Tensor:
        at, unet = slice(window.start, window.stop), self.pipeline.denoising_unet
        assert isinstance(conditions.audio, torch.Tensor)
        here = replace(
            conditions,
            audio=conditions.audio[:, at],
            kps_features=conditions.kps_features[:, :, at],
        )
        both = unet(
            latents.repeat(2, 1, 1, 1, 1).to(unet.dtype),
            timestep.to(unet.device),
            here,
            sampling.reference_weight,
            sampling.audio_weight,
        )
        blind, seen = both.float().chunk(2)
        return blind + sampling.guidance * (seen - blind)

    def _decode(self, latents: torch.Tensor) -> Iterator[np.ndarray]:
        vae = self.pipeline.vae
        for frame in latents[0].transpose(0, 1).split(1):
            image = vae.decode(frame.to(vae.dtype) / vae.config.scaling_factor).sample
            yield (image[0] / 2 + 0.5).clamp(0, 1).permute(1, 2, 0).float().cpu().numpy()


def plain_median(frames: np.ndarray, device: str = "cpu") -> np.ndarray:
    """The published filter, (F, H, W, 3): 3x3x3, reflected, torch's median frame by frame."""
    video = torch.from_numpy(frames).permute(3, 0, 1, 2)
    padded = F.pad(video, (1,) * 6, mode="reflect")
    filtered = []
    for at in range(len(frames)):
        cube = padded[:, at : at + 3].to(device).unfold(2, 3, 1).unfold(3, 3, 1)
        cube = cube.permute(2, 3, 0, 1, 4, 5).flatten(3)
        filtered.append(cube.median(dim=-1).values.cpu().numpy())
    return np.stack(filtered)


def _with_zeros(condition: torch.Tensor) -> torch.Tensor:
    return torch.cat([torch.zeros_like(condition), condition])
