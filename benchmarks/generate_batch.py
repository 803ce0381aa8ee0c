"""Resident actors against one process a request, as V-Express's published script is used.

The same requests, the same model, the same number of processes at a time. The baseline
starts `vexpress generate` for each request: Python, libraries, weights, one video. Prints
the ratio of the times, and what a request costs once everything is loaded.

    python -m benchmarks.generate_batch [--requests 16] [--workers 2] [--weights DIR]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.helpers.small_requests import write_portrait, write_sound, write_table

SIZE, FPS, STEPS = 64, 10, 2


def requests_in(folder: Path, count: int) -> list[dict[str, Any]]:
    """Requests of two portraits and four sounds of 0.5 to 2 s, each with its own seed."""
    for name in ("astronaut", "narrow"):
        write_portrait(folder / f"{name}.png", name)
    for number in range(4):
        write_sound(folder / f"s{number}.wav", 0.5 * (number + 1), 120 + 20 * number)
    return [
        {
            "reference": f"{('astronaut', 'narrow')[number % 2]}.png",
            "audio": f"s{number % 4}.wav",
            "seed": number,
        }
        for number in range(count)
    ]


def model(weights: Path | None) -> list[str]:
    """Options that choose the model."""
    return ["--weights", str(weights)] if weights else ["--preset", "tiny"]


def run(*words: str) -> None:
    """Run the command; what it prints matters only when it fails."""
    command = [sys.executable, "-m", "vexpress.flows.cli.app", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")


def environment() -> dict[str, str]:
    """One thread a process in both cases."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def one_process_each(folder: Path, rows: list[dict[str, Any]], args: argparse.Namespace) -> float:
    """Seconds that all requests take, a process each, so many at a time."""

    def one(number: int) -> None:
        row = rows[number]
        words = [
            "--reference",
            str(folder / row["reference"]),
            "--audio",
            str(folder / row["audio"]),
        ]
        words += ["--seed", str(row["seed"]), "--out", str(folder / f"{number}.mp4")]
        words += ["--size", f"{SIZE}x{SIZE}", "--fps", str(FPS), "--steps", str(STEPS)]
        run("generate", *words, *model(args.weights))

    began = time.monotonic()
    with ThreadPoolExecutor(args.workers) as pool:
        list(pool.map(one, range(len(rows))))
    return time.monotonic() - began


def resident(folder: Path, rows: list[dict[str, Any]], args: argparse.Namespace) -> float:
    """Seconds that the same requests take as one batch, from a cold start to the last row."""
    shape = {"width": SIZE, "height": SIZE, "fps": FPS, "steps": STEPS}
    table = write_table(folder / f"requests{len(rows)}.csv", [row | shape for row in rows])
    dataset = folder / f"set{len(rows)}"
    began = time.monotonic()
    pool = ["--engine", "ray", "--workers", str(args.workers)]
    run("generate-batch", str(table), str(dataset), *pool, *model(args.weights))
    seconds = time.monotonic() - began
    made = len(list((dataset / "generations").glob("*.mp4")))
    assert made == len(rows), f"expected {len(rows)} videos, found {made}"
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--weights", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["PREFECT_HOME"] = str(folder / "prefect")
        rows = requests_in(folder, args.requests)
        batch = resident(folder, rows, args)
        few = resident(folder, rows[: args.requests // 4], args)
        alone = one_process_each(folder, rows, args)
    each = (batch - few) / (args.requests - args.requests // 4)
    print(f"{args.requests} requests of {SIZE}x{SIZE}, {args.workers} at a time")
    print(f"one process a request   {alone:7.1f} s   {alone / args.requests:6.2f} s a request")
    print(f"resident actors         {batch:7.1f} s   {batch / args.requests:6.2f} s a request")
    print(f"  of which start        {few - each * (args.requests // 4):7.1f} s, once")
    print(f"  one more request                 {each:6.2f} s")
    print(
        f"ratio                   {alone / batch:7.2f}   (more requests: towards "
        f"{alone / args.requests / each:.1f})"
    )


if __name__ == "__main__":
    main()
