"""Training speed: reading samples against the naive loader, and steps per second.

    PYTHONPATH=. python benchmarks/training.py loader DATASET/media/*.mp4
    PYTHONPATH=. python benchmarks/training.py steps --size tiny
    PYTHONPATH=. python benchmarks/training.py steps --size full       (a GPU)

`loader`: samples of every stage from clips, read at random by ours and by decoding
the whole clip for each sample, as published V-Express does. `steps`: every stage on random
weights and random samples, with and without gradient checkpointing.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import decord
import numpy as np
import torch

from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider
from vexpress.training.model import TrainingModel
from vexpress.training.presets import PRESETS
from vexpress.training.randomness import generator
from vexpress.training.samples import draw_span, read_frames
from vexpress.training.settings import StageSettings, TrainSettings
from vexpress.training.start_weights import random_networks
from vexpress.training.trainable_parts import set_trained
from vexpress.weights.published import Networks

SAMPLES = 10
ROUNDS = 2


def decode_whole(video: str, numbers: list[int]) -> np.ndarray:
    """The naive loader: decode every frame, then pick."""
    reader = decord.VideoReader(video, num_threads=1)
    frames = [reader.next().asnumpy() for _ in range(len(reader))]
    return np.stack([frames[number] for number in numbers])


def compare_loaders(videos: list[Path]) -> None:
    """Print seconds a sample of both, and their ratio, per stage."""
    lengths = [len(decord.VideoReader(str(video))) for video in videos]
    print(f"{len(videos)} clips of {min(lengths)} to {max(lengths)} frames")
    for stage, settings in enumerate(PRESETS["full"]().stages, 1):
        frames = settings.frames
        jobs = []
        for number in range(SAMPLES):
            clip = number % len(videos)
            span = draw_span(lengths[clip], frames, 30, generator("benchmark", stage, number))
            jobs.append((str(videos[clip]), [*span.frames, span.reference]))
        assert all(np.array_equal(read_frames(*j), decode_whole(*j)) for j in jobs[:2])
        ours = min(_seconds(read_frames, jobs) for _ in range(ROUNDS)) / SAMPLES
        naive = min(_seconds(decode_whole, jobs) for _ in range(ROUNDS)) / SAMPLES
        print(
            f"stage {stage} ({frames} frames and a reference): ours {1000 * ours:.0f} ms of CPU a "
            f"sample, whole clip {1000 * naive:.0f} ms: {naive / ours:.1f} times"
        )


def _seconds(
    load: Callable[[str, list[int]], np.ndarray], jobs: list[tuple[str, list[int]]]
) -> float:
    start = time.process_time()
    for job in jobs:
        load(*job)
    return time.process_time() - start


def measure_steps(size: str, steps: int) -> None:
    """Print steps per second and peak memory of every stage."""
    settings = PRESETS[size]()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    networks = full_networks() if size == "full" else random_networks(0, 768)
    model = TrainingModel(networks).to(device).train()
    for stage in settings.stages:
        for checkpointing in (False, True):
            try:
                print(_run(model, settings, stage, checkpointing, steps, device))
            except torch.OutOfMemoryError:
                print(
                    f"stage {stage.number}, gradient checkpointing {checkpointing}: out of memory"
                )


def full_networks() -> Networks:
    """Networks of the published size with random weights: speed does not depend on them."""
    return Networks(
        ReferenceNet.from_config({}),
        DenoisingUNet.from_config({}),
        VKpsGuider.from_config({}),
        AudioProjection.from_config({}),
    )


def _run(
    model: TrainingModel,
    settings: TrainSettings,
    stage: StageSettings,
    checkpointing: bool,
    steps: int,
    device: torch.device,
) -> str:
    """Train on one random batch; the autoencoder and the loader are not counted."""
    trained = set_trained(model, stage.trains)
    for network in (model.denoising_unet, model.reference_net):
        toggle = network.enable_gradient_checkpointing
        toggle() if checkpointing else network.disable_gradient_checkpointing()
    optimiser = torch.optim.AdamW(trained.values(), lr=1e-6)
    side, batch, frames = settings.data.image_size, stage.batch, stage.frames
    shape = (batch, 4, frames, side // 8, side // 8)
    given = (
        torch.randn(shape, device=device),
        torch.randint(1000, (batch,), device=device),
        torch.randn(batch, 4, side // 8, side // 8, device=device),
        torch.rand(batch, 3, frames, side, side, device=device),
        torch.randn(batch, frames, 10, 768, device=device),
    )
    target = torch.randn(shape, device=device)
    on_gpu = device.type == "cuda"

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=on_gpu):
            predicted = model(*given)
        (predicted.float() - target).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
        optimiser.step()
        optimiser.zero_grad()

    step()
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if on_gpu:
        torch.cuda.synchronize()
    rate = steps / (time.perf_counter() - start)
    memory = f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if on_gpu else ""
    kind = "bfloat16" if on_gpu else "float32"
    return (
        f"stage {stage.number}, {batch} x {frames} frames at {side} px, {kind}, gradient "
        f"checkpointing {'on' if checkpointing else 'off'}: {rate:.2f} steps a second{memory}"
    )


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["loader", "steps"])
    parser.add_argument("videos", type=Path, nargs="*", help="clips to read (loader)")
    parser.add_argument("--size", choices=["tiny", "full"], default="tiny")
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.what == "loader":
        compare_loaders(arguments.videos)
    else:
        measure_steps(arguments.size, arguments.steps)


if __name__ == "__main__":
    main()
