"""Peak memory of generating a video, and of one three times as long: tiny model, 64x64, CPU.

    python benchmarks/inference_memory.py [--seconds 10] [--memory low] [--reuse-every 2]

Each length runs in a process of its own, from made-up sound to a finished MP4 with median
filter. What must grow with length is stated beside: noise and latents, velocity and the
scheduler's copies (float32, all frames), audio tokens, points, and the waveform. Sound up
to 120 s also goes through wav2vec2 in one piece, as published. Results of inner layers that
`--reuse-every` keeps have a bound, here 4 MiB, which hold about as many windows of the tiny
model as the usual 4 GiB of the full one at 512x512.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy as np
import torch

from vexpress.inference import denoise
from vexpress.inference.median_filter import filter_stream
from vexpress.inference.random_model import TINY_CHANNELS, tiny_pipeline
from vexpress.inference.settings import Sampling
from vexpress.inference.windows import padded_frames, plan_windows
from vexpress.media.video import VideoWriter

FPS, SIDE, RATE = 25, 64, 16_000
INNER_BYTES = 4 << 20


def peak_mib() -> float:
    """Of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stated_mib(seconds: float, reuse_every: int) -> float:
    """Arrays over all frames: five of latents, tokens (5, 768) twice, points, the waveform.

    And results of inner layers up to their bound, where they are reused.
    """
    frames = int(seconds * FPS)
    latents = 5 * 4 * (SIDE // 8) ** 2
    windows = len(plan_windows(padded_frames(frames, 24, 4), 24, 4))
    inner = windows * 24 * TINY_CHANNELS[0] * (SIDE // 8) ** 2 * 4 if reuse_every > 1 else 0
    arrays = frames * 4 * (latents + 2 * 5 * 768 + 2 * 6 + 2 * RATE / FPS)
    return (arrays + min(inner, INNER_BYTES)) / 2**20


def generate(seconds: float, memory: str, reuse_every: int) -> None:
    """Make one video; print the model's memory and the peak."""
    torch.set_num_threads(1)
    pipeline = tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    face = np.array([[0.4, 0.4], [0.6, 0.4], [0.5, 0.55]]) * SIDE
    denoise.INNER_BYTES = INNER_BYTES
    sampling = Sampling(steps=reuse_every, guidance=1.0, memory=memory, reuse_every=reuse_every)
    before = peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder) / "sound.wav"
        waveform = np.random.default_rng(0).standard_normal(int(seconds * RATE)) * 0.1
        with wave.open(str(sound), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes((waveform * 32767).astype("<i2").tobytes())
        points = np.repeat(face[None], int(seconds * FPS), axis=0)
        chunks = pipeline.stream(
            np.zeros((SIDE, SIDE, 3), np.uint8),
            points,
            waveform.astype(np.float32),
            SIDE,
            SIDE,
            sampling,
        )
        frames = (f for c in chunks for f in (c * 255).byte().permute(0, 2, 3, 1).numpy())
        with VideoWriter(Path(folder) / "out.mp4", FPS, (SIDE, SIDE), sound) as writer:
            for frame in filter_stream(frames):
                writer.write(frame)
    print(json.dumps({"before": before, "peak": peak_mib(), "frames": writer.frames}))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--memory", choices=("normal", "low"), default="low")
    parser.add_argument("--reuse-every", type=int, default=1)
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        generate(options.seconds, options.memory, options.reuse_every)
        return
    same = ["--memory", options.memory, "--reuse-every", str(options.reuse_every)]
    peaks = []
    for seconds in (options.seconds, 3 * options.seconds):
        run = [sys.executable, __file__, "--only", "--seconds", str(seconds), *same]
        found = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)
        peaks.append(found["peak"])
        over = found["peak"] - found["before"]
        stated = stated_mib(seconds, options.reuse_every)
        print(f"{seconds:g} s, {found['frames']} frames: peak {found['peak']:.0f} MiB, ", end="")
        print(f"{over:.0f} over the model; arrays of all frames {stated:.1f} MiB", flush=True)
    first, last = (stated_mib(n * options.seconds, options.reuse_every) for n in (1, 3))
    print(
        f"grown by {peaks[1] - peaks[0]:.0f} MiB, stated arrays by {last - first:.1f} MiB; ", end=""
    )
    print(f"peak x{peaks[1] / peaks[0]:.3f} for three times the length ({options.memory})")


if __name__ == "__main__":
    main()
