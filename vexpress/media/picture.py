"""What a file says of its picture, and how a coded picture becomes one to look at.

The order is: deinterlace, convert colours to BT.709 (`tone.py`, at the coded size), then
turn upright, mirror, and make pixels square (`to_upright_bgr`, or a filter graph).
"""

import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from vexpress.media.decode import use_one_thread
from vexpress.media.tone import lut_file

TRANSFERS = {
    1: "bt709",
    4: "gamma22",
    5: "gamma28",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    11: "iec61966-2-4",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    18: "arib-std-b67",
}
PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    11: "smpte431",
    12: "smpte432",
}
MATRICES = {
    0: "gbr",
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
}
RANGES = {1: "tv", 2: "pc"}
FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
"""FFmpeg's names: which field is coded and which is shown first, top or bottom."""
HDR = {"smpte2084": "PQ", "arib-std-b67": "HLG"}
LOOKED_AT = 12
"""Frames looked at for interlacing where the stream does not say that it is progressive."""


@dataclass(frozen=True)
class Picture:
    """A video stream's picture, as the file describes it; None: it does not say."""

    coded_width: int
    coded_height: int
    pixel_aspect: Fraction = Fraction(1)
    """Width over height of a coded pixel."""
    rotation: int = 0
    """Clockwise turn that puts the coded picture upright: 0, 90, 180 or 270 degrees."""
    mirrored: bool = False
    """Whether left and right change places after the turn."""
    transfer: str | None = None
    primaries: str | None = None
    matrix: str | None = None
    color_range: str | None = None
    """`tv` (limited) or `pc` (full)."""
    field_order: str | None = None
    interlaced: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the upright picture with square pixels."""
        square = round(self.coded_width * self.pixel_aspect), self.coded_height
        return (square[1], square[0]) if self.rotation % 180 else square

    @property
    def hdr(self) -> str | None:
        """`PQ` or `HLG`, where it is one."""
        return HDR.get(self.transfer or "")

    @property
    def wide(self) -> bool:
        """Whether its colours are converted to BT.709: HDR, or primaries of BT.2020."""
        return bool(self.hdr) or self.primaries == "bt2020"


def describe_picture(container: Any, stream: Any) -> Picture | None:
    """Return what the stream and its first frames say; None where no frame decodes."""
    frames = first_frames(container, stream)
    if not frames:
        return None
    frame, codec = frames[0], stream.codec_context
    rotation, mirrored = orientation(display_matrix(frame))
    order = FIELD_ORDERS.get(codec.field_order)
    return Picture(
        coded_width=stream.width,
        coded_height=stream.height,
        pixel_aspect=pixel_aspect_of(stream),
        rotation=rotation,
        mirrored=mirrored,
        transfer=_named(TRANSFERS, frame.color_trc, codec.color_trc),
        primaries=_named(PRIMARIES, frame.color_primaries, codec.color_primaries),
        matrix=_named(MATRICES, frame.colorspace, codec.colorspace),
        color_range=_named(RANGES, frame.color_range, codec.color_range),
        field_order=order,
        interlaced=any(f.interlaced_frame for f in frames) or order in ("tt", "bb", "tb", "bt"),
    )


def first_frames(container: Any, stream: Any) -> list[Any]:
    """Return the first frame that decodes; the first `LOOKED_AT` where fields are possible."""
    use_one_thread(stream)
    frames: list[Any] = []
    for packet in container.demux(stream):
        try:
            frames += packet.decode()
        except av.FFmpegError:
            continue
        progressive = FIELD_ORDERS.get(stream.codec_context.field_order) == "progressive"
        if frames and (progressive or len(frames) >= LOOKED_AT):
            break
    return frames


def _named(names: dict[int, str], *codes: Any) -> str | None:
    return next((names[int(code)] for code in codes if int(code) in names), None)


def pixel_aspect_of(stream: Any) -> Fraction:
    """Return width over height of a coded pixel; 1 where the file does not say."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and 0.1 < aspect < 10 else Fraction(1)


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """Return a, b, c, d of the display matrix: a coded x, y is shown at ax + cy, bx + dy."""
    data = frame.side_data.get(av.sidedata.sidedata.Type.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack("=9i", bytes(data)[:36])[:5]
    return a, b, c, d


def orientation(matrix: tuple[int, int, int, int]) -> tuple[int, bool]:
    """Return the clockwise turn, to the nearest quarter, and whether the picture is mirrored then.

    y points down, so that (0, 1, -1, 0) turns clockwise by 90 degrees.
    """
    a, b, c, d = matrix
    mirrored = a * d - b * c < 0
    if mirrored:
        a, c = -a, -c
    angle = np.degrees(np.arctan2(b - c, a + d)) if (a + d or b - c) else 0.0
    return int(round(angle / 90) * 90 % 360), mirrored


def to_upright_bgr(
    frame: Any, size: tuple[int, int], rotation: int, mirrored: bool = False
) -> np.ndarray:
    """Return `frame` as upright BGR, uint8 (height, width, 3), scaled to `size` (width, height)."""
    width, height = (size[1], size[0]) if rotation % 180 else size
    image = frame.reformat(width, height, format="bgr24", interpolation="AREA").to_ndarray()
    if rotation:
        image = np.rot90(image, k=-(rotation // 90))
    if mirrored:
        image = image[:, ::-1]
    return np.ascontiguousarray(image) if rotation or mirrored else image


def converted(frames: Iterable[Any], picture: Picture) -> Iterator[Any]:
    """Yield `frames`, each deinterlaced and with colours of BT.709 where the picture needs it.

    As many come out as go in, at the same times.
    """
    if not (picture.interlaced or picture.wide):
        yield from frames
        return
    graph: Any = None
    shape: Any = None
    for frame in frames:
        if shape != (frame.width, frame.height, frame.format.name):
            yield from _rest(graph)
            shape = frame.width, frame.height, frame.format.name
            graph = _conversion(frame, picture)
        graph.push(frame)
        yield from _ready(graph)
    yield from _rest(graph)


def _conversion(frame: Any, picture: Picture) -> Any:
    """Return a filter graph that makes frames like `frame` progressive, with BT.709 colours."""
    steps = []
    if picture.interlaced:
        steps.append(("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
    with ExitStack() as stack:
        if picture.wide:
            lut = stack.enter_context(lut_file(picture.transfer, picture.primaries))
            matrix, said = picture.matrix or "bt2020nc", picture.color_range or "tv"
            steps += [
                ("scale", f"in_color_matrix={matrix}:in_range={said}:flags=bicubic"),
                ("format", "gbrp16le"),
                ("lut3d", f"file={lut}"),
                ("scale", "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd"),
                ("format", "yuv420p"),
                ("setparams", "colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"),
            ]
        return filter_graph(frame, steps, frame.time_base or Fraction(1, 1000))


def filter_graph(frame: Any, steps: list[tuple[str, str]], time_base: Fraction) -> Any:
    """Return a libavfilter graph of `steps`, name and options, for frames like `frame`."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=time_base
    )
    filters = [graph.add(name, options or None) for name, options in steps]
    nodes = [source, *filters, graph.add("buffersink")]
    graph.link_nodes(*nodes)
    graph.configure()
    return graph


def _ready(graph: Any) -> Iterator[Any]:
    while True:
        try:
            yield graph.pull()
        except (av.BlockingIOError, EOFError):
            return


def _rest(graph: Any) -> Iterator[Any]:
    if graph is not None:
        graph.push(None)
        yield from _ready(graph)
