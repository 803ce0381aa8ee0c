"""Our inference against a plain, faithful one: seconds, memory, difference.

    python benchmarks/inference.py                 half-width random model, CPU, two windows
    python benchmarks/inference.py --full-size --device cuda --dtype float16 --size 512 \\
        --frames 44 --steps 25 --fast-steps 12     full-size random model, a few windows
    … --frames 924 --sides exact approximate       the same, 31 s of sound at 30 fps

The full size is the published one: U-Nets, sd-vae-ft-mse, wav2vec2-base. Below it the VAE
and the audio encoder are tiny. Each side runs in a process of its own, so that its peak
memory is its own. CPU seconds are printed beside wall seconds: other work on the machine
disturbs them less. `--profile` shows where the time goes, at the price of some time.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_vexpress import PlainPipeline, plain_median

from vexpress.inference.median_filter import filter_stream
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.random_model import (
    TINY_AUDIO_ENCODER,
    TINY_CHANNELS,
    TINY_VAE,
    random_pipeline,
)
from vexpress.inference.settings import FAST, Sampling
from vexpress.inference.solvers import Solver, make_scheduler

SD_VAE: dict[str, Any] = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2}
WAV2VEC2_BASE: dict[str, Any] = {}
"""transformers' own defaults are wav2vec2-base."""
SIZES: dict[str, tuple[Any, ...]] = {
    "tiny": (TINY_CHANNELS, 4, TINY_VAE, TINY_AUDIO_ENCODER),
    "half": ((160, 320, 640, 640), 4, TINY_VAE, TINY_AUDIO_ENCODER),
    "full": ((320, 640, 1280, 1280), 8, SD_VAE, WAV2VEC2_BASE),
}
SIDES = ("plain", "exact", "approximate")
SAMPLES_A_FRAME = 533
"""Of 16 kHz sound at 30 frames a second."""


def build(width: str, device: str, dtype: torch.dtype) -> VExpressPipeline:
    """A random model; `device` is also where its weights are drawn."""
    with torch.device(device):  # drawing 2.4 billion weights takes minutes on a CPU
        pipeline = random_pipeline(*SIZES[width])
    pipeline.scheduler = make_scheduler(Solver.DDIM)  # as in use: its tables are on the CPU
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device) if dtype == torch.float32 else pipeline.to(device, dtype)


def inputs(frames: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, moving points and a sound, made up."""
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (size, size, 3), dtype=np.uint8)
    face = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.55]]) * size
    way = np.sin(np.arange(frames) / 5)[:, None, None] * size * 0.02
    sound = random.standard_normal(frames * SAMPLES_A_FRAME) * 0.1
    return image, face + way, sound.astype(np.float32)


def make_video(side: str, pipeline: VExpressPipeline, options: argparse.Namespace) -> np.ndarray:
    """Frames float32 (F, H, W, 3) of one side."""
    image, points, waveform = inputs(options.frames, options.size)
    size = options.size, options.size
    if side == "plain":
        sampling = Sampling(steps=options.steps)
        frames = PlainPipeline(pipeline)(image, points, waveform, size, sampling, 42)
        return plain_median(frames, options.device)
    sampling = Sampling(steps=options.steps, memory=options.memory)
    if side == "approximate":
        fast = {**FAST, "steps": options.fast_steps}
        sampling = Sampling(memory=options.memory, **fast)
        pipeline.scheduler = make_scheduler(Solver.UNIPC)
    chunks = pipeline.stream(image, points, waveform, *size, sampling, 42)
    decoded = (f for c in chunks for f in c.float().permute(0, 2, 3, 1).cpu().numpy())
    return np.stack(list(filter_stream(decoded)))


def run_side(side: str, options: argparse.Namespace) -> None:
    """Run one side in this process; leave frames and figures in the folder."""
    torch.set_num_threads(options.threads)
    pipeline = build(options.width, options.device, getattr(torch, options.dtype))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if options.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    began, cpu_began = time.perf_counter(), time.process_time()
    with profiler(options.profile) as profile:
        video = make_video(side, pipeline, options)
        if options.device != "cpu":
            torch.cuda.synchronize()
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    figures["over_model_mib"] = figures["peak_mib"] - before
    if options.device != "cpu":
        figures["gpu_peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
    np.save(options.folder / f"{side}.npy", video)
    (options.folder / f"{side}.json").write_text(json.dumps(figures))
    if options.profile:
        order = f"self_{'cpu' if options.device == 'cpu' else 'cuda'}_time_total"
        print(side, profile.key_averages().table(sort_by=order, row_limit=12), sep="\n")


def profiler(wanted: bool) -> AbstractContextManager[Any]:
    """torch's, without events' own places, which take much memory."""
    return torch.profiler.profile(acc_events=True) if wanted else nullcontext()


def compare(options: argparse.Namespace) -> None:
    """Run the sides in turn, several times, and print the ratios of their best."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(options.repeats):
        for side in options.sides:
            arguments = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            subprocess.run(arguments, check=True)
            figures = json.loads((options.folder / f"{side}.json").read_text())
            least = best.setdefault(side, figures)
            best[side] = {key: min(value, least[key]) for key, value in figures.items()}
    print(machine(options))
    for side, figures in best.items():
        shown = ", ".join(f"{key} {value:.1f}" for key, value in figures.items())
        print(f"{side}: {shown}{against_first(side, best, options.folder)}", flush=True)


def against_first(side: str, best: dict[str, dict[str, float]], folder: Path) -> str:
    """Ratios and difference of one side to the side that ran first."""
    first = next(iter(best))
    if side == first:
        return ""
    ratios = ", ".join(f"{key} x{best[side][key] / best[first][key]:.3f}" for key in best[first])
    off = np.load(folder / f"{side}.npy") - np.load(folder / f"{first}.npy")
    decibels = 10 * np.log10(1 / max(float((off**2).mean()), 1e-12))
    worst = np.abs(off).max()
    return f"\n  of {first}: {ratios}; largest difference {worst:.1e}, {decibels:.1f} dB"


def machine(options: argparse.Namespace) -> str:
    """What it ran on, and what it ran."""
    name = f"{options.threads} CPU threads"
    if options.device != "cpu":
        name = f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}"
    run = f"{options.width}, {options.size}x{options.size}, {options.frames} frames"
    steps = f"{options.steps} steps ({options.fast_steps} approximate), {options.dtype}"
    return f"torch {torch.__version__}, {name}; {run}, {steps}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", choices=SIZES, default="half")
    parser.add_argument("--full-size", action="store_const", dest="width", const="full")
    parser.add_argument("--size", type=int, default=192, help="side of the video, pixels")
    parser.add_argument("--frames", type=int, default=44, help="24 + 20·k")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--fast-steps", type=int, default=2)
    parser.add_argument("--memory", choices=("normal", "low"), default="normal")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--profile", action="store_true", help="print the 12 dearest operations")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/vexpress_inference"))
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.side:
        run_side(options.side, options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
