"""Peak memory of curating a long video, and that it does not grow with its length.

    python -m benchmarks.memory --minutes 10 60 --weights DIR --set faces.model=scrfd_2.5g

Makes the videos by repeating the packets of a rendered 1280x720 one, curates each in a
process of its own, and prints the peak resident memory beside that of a process that has
loaded the same libraries and models and curated ten seconds.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import psutil

from tests.talking_heads import Face, Shot, Speech, VideoFormat, render

SECONDS = 10


def render_piece(path: Path) -> None:
    """Render ten seconds of 1280x720: a face, nothing, the face again."""
    say = (Speech(text="A long video is nothing but many short ones, one after another."),)
    shots = [
        Shot(duration_s=5.0, faces=(Face(width_px=280),), speech=say),
        Shot(duration_s=1.0),
        Shot(duration_s=4.0, faces=(Face(width_px=280, identity="narrow"),), speech=say),
    ]
    render(shots, path, VideoFormat(width=1280, height=720))


def repeat(piece: Path, path: Path, times: int) -> None:
    """Write `piece` `times` over, without encoding anything again."""
    with av.open(str(path), "w") as output:
        with av.open(str(piece)) as source:
            streams = [output.add_stream_from_template(stream) for stream in source.streams]
        output.start_encoding()
        last = [float("-inf")] * len(streams)
        for number in range(times):
            with av.open(str(piece)) as source:
                for packet in source.demux():
                    if packet.dts is None:
                        continue
                    shift = round(number * SECONDS / packet.time_base)
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    index = packet.stream.index
                    if packet.dts > last[index]:  # the sound's last packet reaches past the end
                        last[index] = packet.dts
                        packet.stream = streams[index]
                        output.mux(packet)


def peak(video: Path, dataset: Path, options: list[str]) -> tuple[float, float]:
    """Curate in a process of its own; return peak resident GiB of it and seconds."""
    command = [
        sys.executable,
        "-m",
        "vexpress.flows.cli.app",
        "curate",
        str(video),
        str(dataset),
        *options,
    ]
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    process, highest = psutil.Process(child.pid), 0
    while child.poll() is None:
        try:
            highest = max(highest, process.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.2)
    if child.wait():
        raise SystemExit(f"curate ended with {child.returncode}")
    return highest / 2**30, time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, nargs="+", default=[10, 60])
    parser.add_argument("--weights", default="")
    parser.add_argument("--set", dest="settings", action="append", default=[])
    given = parser.parse_args()
    options = [part for setting in given.settings for part in ("--set", setting)]
    options += ["--weights", given.weights] if given.weights else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render_piece(folder / "piece.mp4")
        base, _ = peak(folder / "piece.mp4", folder / "out-0", options)
        print(f"10 s:   peak {base:.2f} GiB (libraries and models)", flush=True)
        for minutes in given.minutes:
            video = folder / f"{minutes}.mp4"
            repeat(folder / "piece.mp4", video, minutes * 60 // SECONDS)
            highest, seconds = peak(video, folder / f"out-{minutes}", options)
            video.unlink()
            print(
                f"{minutes} min: peak {highest:.2f} GiB, {highest - base:+.2f} against 10 s, "
                f"{minutes * 60 / seconds:.1f} video seconds a second",
                flush=True,
            )


if __name__ == "__main__":
    main()
