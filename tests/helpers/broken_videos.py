"""Broken and odd inputs, each with what should be said of it."""

import json
import struct
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np

from tests.talking_heads import VideoFormat
from tests.talking_heads.write import write_video

FRAMES = 50
"""Length of the re-encoded oddities."""


@dataclass(frozen=True)
class Expectation:
    """What a careful reader finds."""

    readable: bool
    """Whether all or some of its frames can be decoded."""
    why: str
    """One word for what is wrong or odd."""
    is_file: bool = True
    """False for what has a video's name but is no file that can be opened."""


def make_broken_videos(folder: Path, sample: Path) -> dict[str, Expectation]:
    """Fill `folder` with broken and odd relatives of `sample`, a readable mp4 with sound.

    Returns what to expect by file name; the same is written to `expectations.json` there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        **_damaged(folder, sample),
        **_one_stream_missing(folder, sample),
        **_oddly_coded(folder, sample),
        **_oddly_named(folder, sample),
        **_not_files(folder),
    }
    told = {name: asdict(expectation) for name, expectation in made.items()}
    (folder / "expectations.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    return made


def _damaged(folder: Path, sample: Path) -> dict[str, Expectation]:
    """Files whose bytes are wrong. `sample` has its index (moov) behind the media."""
    behind = sample.read_bytes()
    _copy_streams(sample, folder / "zeroed.mp4", ("video", "audio"), index_first=True)
    before = (folder / "zeroed.mp4").read_bytes()
    half, tenth = len(before) // 2, len(before) // 10
    made = {
        "empty.mp4": (b"", False, "empty"),
        "truncated_in_header.mp4": (before[: before.index(b"moov") + 200], False, "truncated"),
        "truncated_index_first.mp4": (before[: half + tenth], True, "truncated"),
        "truncated_index_last.mp4": (behind[: len(behind) // 2], False, "truncated"),
        "zeroed.mp4": (before[:half] + bytes(tenth) + before[half + tenth :], True, "damaged"),
        "random_bytes.mp4": (np.random.default_rng(0).bytes(50_000), False, "not_media"),
        "text.mp4": (b"Dear reader, this is no video at all.\n" * 99, False, "not_media"),
        "claims_huge_size.mp4": (_claim_size(behind, 65_000), True, "size"),
    }
    for name, (content, _, _) in made.items():
        (folder / name).write_bytes(content)
    return {name: Expectation(readable, why) for name, (_, readable, why) in made.items()}


def _one_stream_missing(folder: Path, sample: Path) -> dict[str, Expectation]:
    _copy_streams(sample, folder / "audio_only.mp4", ("audio",))
    _copy_streams(sample, folder / "no_sound.mp4", ("video",))
    return {
        "audio_only.mp4": Expectation(False, "no_video_stream"),
        "no_sound.mp4": Expectation(True, "no_sound"),
    }


def _oddly_coded(folder: Path, sample: Path) -> dict[str, Expectation]:
    """Sound, but unlike what most videos are."""
    with av.open(str(sample)) as source:
        picture = source.streams.video[0]
        size = {"width": picture.width, "height": picture.height}
    forms = {
        "odd_size_361x641.mp4": VideoFormat(width=361, height=641, pixel_format="yuv444p"),
        "ten_bit_422.mp4": VideoFormat(pixel_format="yuv422p10le", **size),
        "tall_pixels.mp4": VideoFormat(pixel_aspect=Fraction(1, 2), **size),
        "rotated_90.mp4": VideoFormat(rotation=90, **size),
        "tiny_16x16.mp4": VideoFormat(width=16, height=16),
    }
    for name, form in forms.items():
        _encode(sample, folder / name, form)
    _encode(sample, folder / "one_frame.mp4", VideoFormat(**size), count=1)
    _encode(sample, folder / "variable_frame_rate.mp4", VideoFormat(**size), drop_every=3)
    _copy_streams(sample, folder / "matroska.mp4", ("video", "audio"), container="matroska")
    return {
        "one_frame.mp4": Expectation(True, "one_frame"),
        "odd_size_361x641.mp4": Expectation(True, "odd_size"),
        "ten_bit_422.mp4": Expectation(True, "pixel_format"),
        "variable_frame_rate.mp4": Expectation(True, "variable_frame_rate"),
        "tall_pixels.mp4": Expectation(True, "pixel_aspect"),
        "tiny_16x16.mp4": Expectation(True, "tiny"),
        "matroska.mp4": Expectation(True, "container"),
        "rotated_90.mp4": Expectation(True, "rotated"),
    }


def _oddly_named(folder: Path, sample: Path) -> dict[str, Expectation]:
    """Readable videos whose names break careless code. Each has its own content."""
    names = (
        'it\'s "quoted".mp4',
        "two\nlines.mp4",
        "смех 笑い é.mp4",
        "-y.mp4",
        "100% {of} $HOME; ls * #1.MP4",
    )
    for number, name in enumerate(names):
        _encode(sample, folder / name, VideoFormat(width=320, height=240), FRAMES - number)
    return {name: Expectation(True, "name") for name in names}


def _not_files(folder: Path) -> dict[str, Expectation]:
    (folder / "directory.mp4").mkdir(exist_ok=True)
    links = {
        "loop_a.mp4": "loop_b.mp4",
        "loop_b.mp4": "loop_a.mp4",
        "dangling.mp4": "nowhere.mp4",
        "parent": ".",
    }
    for name, target in links.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    return {
        "directory.mp4": Expectation(False, "directory", is_file=False),
        "loop_a.mp4": Expectation(False, "symlink_loop", is_file=False),
        "loop_b.mp4": Expectation(False, "symlink_loop", is_file=False),
        "dangling.mp4": Expectation(False, "dangling_link", is_file=False),
        "parent": Expectation(False, "folder_loop", is_file=False),
    }


def _copy_streams(
    sample: Path,
    path: Path,
    kinds: tuple[str, ...],
    index_first: bool = False,
    container: str = "mp4",
) -> None:
    """Copy some streams of `sample` without decoding them."""
    options = {"fflags": "bitexact"}  # else Matroska draws random ids
    if index_first:
        options["movflags"] = "faststart"
    with (
        av.open(str(sample)) as source,
        av.open(str(path), "w", container, options=options) as target,
    ):
        wanted = [stream for stream in source.streams if stream.type in kinds]
        copies = {stream.index: target.add_stream_from_template(stream) for stream in wanted}
        for packet in source.demux(wanted):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                target.mux(packet)


def _encode(
    sample: Path, path: Path, form: VideoFormat, count: int = FRAMES, drop_every: int | None = None
) -> None:
    """Encode the first frames of `sample` anew, without sound, leaving out every n-th."""
    with av.open(str(sample)) as source:
        pictures = (
            (number, cv2.resize(frame.to_ndarray(format="bgr24"), (form.width, form.height)))
            for number, frame in enumerate(islice(source.decode(video=0), count))
            if not (drop_every and number % drop_every == drop_every - 1)
        )
        write_video(path, form, pictures, track=None)


def _claim_size(content: bytes, side: int) -> bytes:
    """An index that claims `side` x `side` pixels; the coded stream still says the truth.

    ISO/IEC 14496-12, 8.5.2: a visual sample entry holds width and height 28 bytes after its name.
    """
    entry = content.index(b"avc1", content.index(b"stsd")) + 28
    return content[:entry] + struct.pack(">HH", side, side) + content[entry + 4 :]
