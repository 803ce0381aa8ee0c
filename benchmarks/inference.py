"""Our inference against a plain, faithful one: seconds, memory, difference.

    python benchmarks/inference.py                 half-width random model, CPU, a few windows
    python benchmarks/inference.py --full-size     full-size random model, for a GPU

Each side runs in a process of its own, so that its peak memory is its own. CPU seconds are
printed beside wall seconds: other work on the machine disturbs them less.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_vexpress import PlainPipeline, plain_median

from vexpress import random_model
from vexpress.median import filter_stream
from vexpress.pipeline import VExpressPipeline
from vexpress.settings import Sampling
from vexpress.solvers import make_scheduler

WIDTHS = {"tiny": (32, 64, 96, 96), "half": (160, 320, 640, 640), "full": (320, 640, 1280, 1280)}
FAST: dict[str, Any] = {"guidance_share": 0.5, "reuse_every": 2}
SIDES = ("plain", "exact", "approximate")


def build(width: str, device: str, dtype: torch.dtype) -> VExpressPipeline:
    """A random model of a width; the VAE and the audio encoder stay small below full width."""
    random_model.CHANNELS = WIDTHS[width]
    pipeline = random_model.tiny_pipeline()
    with torch.no_grad():
        # Zero-initialised ends would hide every difference behind them.
        for name, parameter in pipeline.denoising_unet.named_parameters():
            if "temporal_transformer.proj_out.weight" in name:
                parameter.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
    return pipeline.to(device) if dtype == torch.float32 else pipeline.to(device, dtype)


def inputs(frames: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, moving points and a sound, made up."""
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (size, size, 3), dtype=np.uint8)
    face = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.55]]) * size
    way = np.sin(np.arange(frames) / 5)[:, None, None] * size * 0.02
    return image, face + way, random.standard_normal(frames * 640).astype(np.float32) * 0.1


def run_side(side: str, options: argparse.Namespace) -> None:
    """Run one side in this process; leave frames and figures in the folder."""
    torch.set_num_threads(options.threads)
    pipeline = build(options.width, options.device, getattr(torch, options.dtype))
    pipeline.set_progress_bar_config(disable=True)
    image, points, waveform = inputs(options.frames, options.size)
    steps = options.steps if side != "approximate" else options.fast_steps
    sampling = Sampling(steps=steps, **(FAST if side == "approximate" else {}))
    if side == "approximate":
        pipeline.scheduler = make_scheduler("unipc")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu_began = time.perf_counter(), time.process_time()
    size = (options.size, options.size)
    if side == "plain":
        video = plain_median(PlainPipeline(pipeline)(image, points, waveform, size, sampling, 42))
    else:
        chunks = pipeline.stream(image, points, waveform, *size, sampling, 42)
        frames = (f for c in chunks for f in c.float().permute(0, 2, 3, 1).cpu().numpy())
        video = np.stack(list(filter_stream(frames)))
    if options.device != "cpu":
        torch.cuda.synchronize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "peak_mib": peak,
        "over_model_mib": peak - before / 1024,
    }
    if options.device != "cpu":
        figures["gpu_peak_mib"] = torch.cuda.max_memory_allocated() / 2**20
    np.save(options.folder / f"{side}.npy", video)
    (options.folder / f"{side}.json").write_text(json.dumps(figures))


def compare(options: argparse.Namespace) -> None:
    """Run the sides in turn, several times, and print the ratios of their best."""
    best: dict[str, dict[str, float]] = {}
    for _ in range(options.repeats):
        for side in SIDES:
            arguments = [sys.executable, __file__, *sys.argv[1:], "--side", side]
            subprocess.run(arguments, check=True)
            figures = json.loads((options.folder / f"{side}.json").read_text())
            least = best.setdefault(side, figures)
            best[side] = {key: min(value, least[key]) for key, value in figures.items()}
    plain = np.load(options.folder / "plain.npy")
    for side, figures in best.items():
        off = np.abs(np.load(options.folder / f"{side}.npy") - plain)
        decibels = 10 * np.log10(1 / max(float((off**2).mean()), 1e-12))
        shown = ", ".join(f"{key} {value:.1f}" for key, value in figures.items())
        ratio = figures["cpu_seconds"] / best["plain"]["cpu_seconds"]
        wall = figures["seconds"] / best["plain"]["seconds"]
        print(f"{side}: {shown}; seconds x{wall:.3f}, CPU seconds x{ratio:.3f} of plain; ", end="")
        print(f"largest difference {off.max():.1e}, {decibels:.1f} dB", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", choices=WIDTHS, default="half")
    parser.add_argument("--full-size", action="store_const", dest="width", const="full")
    parser.add_argument("--size", type=int, default=256, help="side of the video, pixels")
    parser.add_argument("--frames", type=int, default=44, help="24 + 20·k")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--fast-steps", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--folder", type=Path, default=Path("/tmp/vexpress_inference"))
    parser.add_argument("--side", choices=SIDES)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.side:
        run_side(options.side, options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
