"""Which device the networks work on, with a device that this machine need not have."""

import copy
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vexpress import Sampling, VExpressPipeline
from vexpress.inference.pipeline import published_scheduler
from vexpress.inference.random_model import tiny_pipeline

GPU, CPU = torch.device("cuda:0"), torch.device("cpu")
NETWORKS = (
    "vae",
    "reference_net",
    "denoising_unet",
    "v_kps_guider",
    "audio_projection",
    "audio_encoder",
)
IMAGE = np.zeros((64, 64, 3), np.uint8)
POINTS = np.repeat(np.array([[[20.0, 25], [44, 25], [32, 40]]]), 30, axis=0)
SOUND = np.random.default_rng(0).standard_normal(19_200).astype(np.float32)


class Placed(nn.Module):
    """A network that only knows where it was put."""

    config = SimpleNamespace(in_channels=4, num_hidden_layers=2, motion_positions=32)
    device, dtype = CPU, torch.float32

    def to(self, device: Any = None, *_: Any, **__: Any) -> "Placed":
        self.device = torch.device(device) if device is not None else self.device
        return self


class WatchedPipeline(VExpressPipeline):
    """Notes where the networks of each stage are, in place of the work."""

    seen: tuple[tuple[str, set[torch.device]], ...] = ()
    fails_at = ""

    def note(self, stage: str, *networks: Any) -> None:
        self.seen += ((stage, {network.device for network in networks}),)
        if stage == self.fails_at:
            raise torch.OutOfMemoryError(stage)

    def encode_audio(self, *_: Any) -> torch.Tensor:
        self.note("sound", self.audio_encoder, self.audio_projection)
        return torch.zeros(1)

    def encode_reference(self, *_: Any) -> dict[str, torch.Tensor]:
        self.note("portrait", self.vae, self.reference_net)
        return {}

    def _workers(self, *_: Any) -> list:
        self.note("video", self.denoising_unet, self.v_kps_guider)
        assert self._execution_device == GPU
        return []

    def _denoise(self, latents: torch.Tensor, *_: Any) -> torch.Tensor:
        return latents

    def _decode(self, vae: Any, *_: Any) -> Iterator[torch.Tensor]:
        self.note("pictures", vae)
        yield torch.zeros(1)

    def make(self) -> tuple[tuple[str, set[torch.device]], ...]:
        self.seen = ()
        list(self.stream(IMAGE, POINTS, SOUND, 64, 64, Sampling(memory="low")))
        return self.seen

    def places(self) -> set[torch.device]:
        return {getattr(self, name).device for name in NETWORKS}


STAGES = tuple((stage, {GPU}) for stage in ("sound", "portrait", "video", "pictures"))


@pytest.fixture
def watched() -> WatchedPipeline:
    networks: dict[str, Any] = {name: Placed() for name in NETWORKS}
    return WatchedPipeline(**networks, audio_extractor=None, scheduler=published_scheduler()).to(
        GPU
    )


def test_with_low_memory_every_stage_of_every_video_works_on_the_device(
    watched: WatchedPipeline,
) -> None:
    for _ in range(2):
        assert watched.make() == STAGES
        assert watched.places() == {CPU}
    watched.to(torch.float32)
    assert watched.make() == STAGES
    watched.to("cpu")
    assert watched._execution_device == CPU


@pytest.mark.parametrize("stage", [stage for stage, _ in STAGES])
def test_networks_leave_the_device_also_where_their_work_failed(
    watched: WatchedPipeline, stage: str
) -> None:
    watched.make()
    watched.fails_at = stage
    with pytest.raises(torch.OutOfMemoryError):
        watched.make()
    assert watched.places() == {CPU}
    watched.fails_at = ""
    assert watched.make() == STAGES


def test_a_video_after_one_with_low_memory_is_made_on_the_device_again() -> None:
    """The device is torch's `meta`, which computes shapes only; the networks wait on the CPU."""
    pipeline = tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    waiting = {name: copy.deepcopy(getattr(pipeline, name)) for name in NETWORKS}
    pipeline.to("meta").register_modules(**waiting)
    features = pipeline.encode_reference(IMAGE, 64, 64)
    assert {feature.device.type for feature in features.values()} == {"meta"}
    sampling = Sampling(steps=1, guidance=1.0)
    chunks = pipeline.stream(features, POINTS[:8], SOUND, 64, 64, sampling)
    assert {chunk.device.type for chunk in chunks} == {"meta"}
