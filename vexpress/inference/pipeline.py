"""V-Express as a diffusers pipeline: a portrait, points and sound in, a video out."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, DDIMScheduler, DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import BaseOutput
from PIL import Image
from torch import nn
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from vexpress.errors import SettingsError
from vexpress.inference.allocator import keep_freed_memory
from vexpress.inference.audio_encoder import encode_sound, vectors_around_frames
from vexpress.inference.denoise import DenoiseInputs, DeviceWorker, denoise
from vexpress.inference.offload import OffloadPipeline
from vexpress.inference.settings import Sampling
from vexpress.inference.windows import padded_frames, plan_windows
from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider
from vexpress.weights.catalogue import locate
from vexpress.weights.published import load_audio_encoder, load_networks, load_vae

FACTOR = 8
"""Pixels of the video per latent."""
DECODED_TOGETHER = {"normal": 4, "low": 1}
StepCallback = Callable[[DiffusionPipeline, int, torch.Tensor, dict[str, Any]], dict[str, Any]]


@dataclass
class VExpressOutput(BaseOutput):
    """`frames`: float32 (1, 3, frames, height, width), 0..1, on the CPU."""

    frames: torch.Tensor


def published_scheduler() -> DDIMScheduler:
    """The scheduler that published V-Express samples and is trained with."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


class VExpressPipeline(OffloadPipeline):
    """Portrait video from a picture, facial points and sound (arXiv:2406.02511).

    Numbers equal the published code's. Any diffusers scheduler for velocity prediction
    fits. `preview_vae`: a tiny autoencoder that decodes approximately, in a fraction of the time.
    """

    _optional_components = ["preview_vae"]  # noqa: RUF012
    model_cpu_offload_seq = "audio_encoder->audio_projection->reference_net->denoising_unet->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        reference_net: ReferenceNet,
        denoising_unet: DenoisingUNet,
        v_kps_guider: VKpsGuider,
        audio_projection: AudioProjection,
        audio_encoder: Wav2Vec2Model,
        audio_extractor: Wav2Vec2FeatureExtractor,
        scheduler: Any,
        preview_vae: AutoencoderTiny | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            vae=vae,
            reference_net=reference_net,
            denoising_unet=denoising_unet,
            v_kps_guider=v_kps_guider,
            audio_projection=audio_projection,
            audio_encoder=audio_encoder,
            audio_extractor=audio_extractor,
            scheduler=scheduler,
            preview_vae=preview_vae,
        )
        for network in (vae, reference_net, denoising_unet, v_kps_guider):
            network.to(memory_format=torch.channels_last)

    @classmethod
    def from_published(
        cls,
        folder: str | Path | None = None,
        dtype: torch.dtype = torch.float32,
        parts: Mapping[str, Path] | None = None,
    ) -> "VExpressPipeline":
        """Load the published layout (see `vexpress.weights`).

        `folder` None: `VEXPRESS_WEIGHTS`, else the hub cache, else a download. `parts`:
        paths of single parts. Raises MissingWeightsError or CheckpointError, which name
        what is missing or unexpected.
        """
        places = locate(Path(folder) if folder else None, parts)
        networks = load_networks(places, dtype)
        encoder, extractor = load_audio_encoder(places.audio_encoder, dtype)
        return cls(
            vae=load_vae(places.vae, dtype),
            **vars(networks),
            audio_encoder=encoder,
            audio_extractor=extractor,
            scheduler=published_scheduler(),
        )

    @torch.no_grad()
    def __call__(
        self,
        reference_image: Image.Image | np.ndarray,
        points: np.ndarray,
        waveform: np.ndarray,
        width: int = 512,
        height: int = 512,
        sampling: Sampling | None = None,
        seed: int = 42,
        devices: Sequence[str | torch.device] = (),
        preview: bool = False,
        callback_on_step_end: StepCallback | None = None,
    ) -> VExpressOutput:
        """Make a whole video in memory; `stream` makes one of any length.

        `reference_image` RGB, resized to the video. `points` (frames, 3, 2): left eye,
        right eye, nose, in pixels of the video. `waveform` float32 (samples,), 16 kHz
        mono, spread over all frames. `devices`: share the windows of the video among
        these. `preview`: decode with `preview_vae`.
        """
        chunks = self.stream(
            reference_image,
            points,
            waveform,
            width,
            height,
            sampling,
            seed,
            devices,
            preview,
            callback_on_step_end,
        )
        frames = torch.cat([chunk.float().cpu() for chunk in chunks])
        return VExpressOutput(frames.transpose(0, 1)[None])

    @torch.no_grad()
    def stream(
        self,
        reference_image: Image.Image | np.ndarray | Mapping[str, torch.Tensor],
        points: np.ndarray,
        waveform: np.ndarray,
        width: int = 512,
        height: int = 512,
        sampling: Sampling | None = None,
        seed: int = 42,
        devices: Sequence[str | torch.device] = (),
        preview: bool = False,
        callback_on_step_end: StepCallback | None = None,
    ) -> Iterator[torch.Tensor]:
        """As calling the pipeline, but gives frames as they are decoded.

        `reference_image` may be what `encode_reference` gave for it: several videos of one
        portrait share that work. Each chunk is (n, 3, height, width), 0..1, on the device.
        """
        sampling = sampling or Sampling()
        self._check(points, waveform, width, height, preview, sampling)
        frames = padded_frames(len(points), sampling.window, sampling.overlap)
        with self.on_device(sampling.memory, self.audio_encoder, self.audio_projection):
            tokens = self.encode_audio(waveform, len(points), frames)
        if isinstance(reference_image, Mapping):
            features = reference_image
        else:
            with self.on_device(sampling.memory, self.vae, self.reference_net):
                features = self.encode_reference(reference_image, width, height)
        padding = ((0, frames - len(points)), (0, 0), (0, 0))
        scene = DenoiseInputs(np.pad(points, padding, mode="edge"), tokens, (width, height))
        latents = self.draw_noise(frames, width, height, seed)
        if sampling.memory == "normal":
            latents = latents.to(self._execution_device)
        with self.on_device(sampling.memory, self.denoising_unet, self.v_kps_guider):
            workers = self._workers(features, scene, sampling, devices)
            latents = self._denoise(latents, workers, sampling, callback_on_step_end)
            del workers
        vae = self.preview_vae if preview else self.vae
        with self.on_device(sampling.memory, vae):
            yield from self._decode(vae, latents[:, :, : len(points)], sampling)

    def encode_audio(self, waveform: np.ndarray, frames: int, padded: int) -> torch.Tensor:
        """Waveform over `frames` frames to tokens (padded, T, E); what is padded is silent."""
        vectors = encode_sound(self.audio_encoder, self.audio_extractor, waveform, frames)
        vectors = nn.functional.pad(vectors, (0, 0, 0, 2 * (padded - frames)))
        projection = self.audio_projection
        around = vectors_around_frames(vectors, projection.config.max_seq_len)
        chunks = around.to(projection.device, projection.dtype).split(256)
        return torch.cat([projection(chunk) for chunk in chunks])

    @torch.no_grad()
    def encode_reference(
        self, image: Image.Image | np.ndarray, width: int, height: int
    ) -> dict[str, torch.Tensor]:
        """Portrait to features of the reference net, by block."""
        self.move_to_device(self.vae, self.reference_net)
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        pixels = VaeImageProcessor(FACTOR).preprocess(image, height=height, width=width)
        encoded = self.vae.encode(pixels.to(self.vae.device, self.vae.dtype))
        latents = encoded.latent_dist.mean * self.vae.config.scaling_factor
        return self.reference_net(latents)

    def draw_noise(self, frames: int, width: int, height: int, seed: int) -> torch.Tensor:
        """Initial noise of all frames at once, float32 (1, 4, frames, h, w), on the CPU.

        Published V-Express seeds torch's global generator before wav2vec2 runs, and
        transformers' encoder draws one number a layer from it (for layer drop, even in
        evaluation); so as many numbers are passed over here.
        """
        channels = self.denoising_unet.config.in_channels
        shape = (1, channels, frames, height // FACTOR, width // FACTOR)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(self.audio_encoder.config.num_hidden_layers):
            torch.rand([], generator=generator)
        noise = torch.randn(shape, generator=generator)
        return noise * self.scheduler.init_noise_sigma

    def _denoise(
        self,
        latents: torch.Tensor,
        workers: list[DeviceWorker],
        sampling: Sampling,
        callback: StepCallback | None,
    ) -> torch.Tensor:
        # On the CPU, so that no step waits for the device to read a timestep.
        self.scheduler.set_timesteps(sampling.steps, device="cpu")

        def on_step(step: int, timestep: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
            given = callback(self, step, timestep, {"latents": latents}) if callback else {}
            return given.get("latents", latents)

        windows = len(plan_windows(latents.shape[2], sampling.window, sampling.overlap))
        with self.progress_bar(total=len(self.scheduler.timesteps) * windows) as bar:
            return denoise(latents, workers, self.scheduler, sampling, on_step, bar.update)

    def _workers(
        self,
        features: Mapping[str, torch.Tensor],
        scene: DenoiseInputs,
        sampling: Sampling,
        devices: Sequence[str | torch.device],
    ) -> list[DeviceWorker]:
        """One worker per device; without devices one, with the pipeline's own networks."""
        workers = []
        for index, device in enumerate(devices or [self._execution_device]):
            unet, guider = self.denoising_unet, self.v_kps_guider
            if index > 0:
                unet, guider = copy.deepcopy(unet), copy.deepcopy(guider)
            unet.to(device)
            guider.to(device)
            moved = {name: feature.to(device) for name, feature in features.items()}
            reference = unet.project_reference(moved)
            workers.append(DeviceWorker(unet, guider, reference, scene, sampling))
        return workers

    def _decode(
        self, vae: AutoencoderKL | AutoencoderTiny, latents: torch.Tensor, sampling: Sampling
    ) -> Iterator[torch.Tensor]:
        with keep_freed_memory(vae.device):
            for chunk in latents[0].transpose(0, 1).split(DECODED_TOGETHER[sampling.memory]):
                chunk = chunk.to(vae.device, vae.dtype) / vae.config.scaling_factor
                chunk = chunk.contiguous(memory_format=torch.channels_last)
                yield (vae.decode(chunk).sample / 2 + 0.5).clamp(0, 1)

    def _check(
        self,
        points: np.ndarray,
        waveform: np.ndarray,
        width: int,
        height: int,
        preview: bool,
        sampling: Sampling,
    ) -> None:
        if width < 64 or height < 64 or width % FACTOR or height % FACTOR:
            raise SettingsError(
                f"a video of {width}x{height}: expected width and height of at least 64, "
                f"multiples of {FACTOR}"
            )
        if points.ndim != 3 or points.shape[1:] != (3, 2) or not len(points):
            raise SettingsError(f"points: expected (frames, 3, 2), found {points.shape}")
        if not np.isfinite(points).all():
            raise SettingsError("points: found values that are not finite; fill_gaps() mends them")
        longest = self.denoising_unet.config.motion_positions
        if min(sampling.window, len(points)) > longest:
            raise SettingsError(
                f"windows of {sampling.window} frames: expected at most {longest}, "
                "the positions that the motion modules know"
            )
        if waveform.ndim != 1 or not len(waveform):
            raise SettingsError(f"waveform: expected (samples,), found {waveform.shape}")
        if preview and self.preview_vae is None:
            raise SettingsError("preview: the pipeline has no preview_vae; load one first")
