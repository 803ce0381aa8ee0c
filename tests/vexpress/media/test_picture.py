"""Pictures come upright, unmirrored, progressive and in BT.709, as the file asks."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.odd_videos import SIDE, number_of, write
from vexpress.media.formats import open_media, video_streams
from vexpress.media.picture import (
    Picture,
    converted,
    describe_picture,
    orientation,
    to_upright_bgr,
)
from vexpress.media.tone import WHITE_NITS, hlg_to_nits, nits_to_pq, to_bt709
from vexpress.media.video import read_frames

ONE = 1 << 16
NUMBERS = [5, 77, 200, 19, 130, 64, 33]


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        ((ONE, 0, 0, ONE), (0, False)),
        ((0, ONE, -ONE, 0), (90, False)),
        ((-ONE, 0, 0, -ONE), (180, False)),
        ((0, -ONE, ONE, 0), (270, False)),
        ((-ONE, 0, 0, ONE), (0, True)),
        ((ONE, 0, 0, -ONE), (180, True)),
        ((0, ONE, ONE, 0), (90, True)),
        ((0, -ONE, -ONE, 0), (270, True)),
        ((ONE, 900, -900, ONE), (0, False)),
    ],
)
def test_a_display_matrix_is_a_turn_and_a_mirror(
    matrix: tuple[int, int, int, int], told: tuple[int, bool]
) -> None:
    """Applied to a picture of four corners, it must give what the matrix says."""
    assert orientation(matrix) == told
    coded = np.array([[1, 2], [3, 4]], np.uint8)
    shown = np.rot90(coded, k=-(told[0] // 90))
    shown = shown[:, ::-1] if told[1] else shown
    a, b, c, d = np.sign(np.round(np.array(matrix) / ONE)).astype(int)
    for y, x in np.ndindex(2, 2):
        at = np.array([a * (2 * x - 1) + c * (2 * y - 1), b * (2 * x - 1) + d * (2 * y - 1)])
        column, row = (at + 1) // 2
        assert shown[row, column] == coded[y, x]


def test_a_selfie_is_mirrored_back(tmp_path: Path) -> None:
    """The numbers are only readable where left and right are as the matrix says."""
    path = write(tmp_path / "v.mp4", NUMBERS)
    data = path.read_bytes()
    plain = b"".join(n.to_bytes(4, "big", signed=True) for n in (ONE, 0, 0, 0, ONE))
    flipped = b"".join(n.to_bytes(4, "big", signed=True) for n in (-ONE, 0, 0, 0, ONE))
    place = data.index(plain, data.index(b"tkhd"))
    path.write_bytes(data[:place] + flipped + data[place + len(plain) :])
    seen = [picture[..., 0] for _, picture in read_frames(path, SIDE, SIDE)]
    assert [number_of(grey[:, ::-1]) for grey in seen] == NUMBERS
    with open_media(path) as container:
        picture = describe_picture(container, video_streams(container)[0])
    assert picture is not None and (picture.rotation, picture.mirrored) == (0, True)


def test_a_clock_that_begins_late_begins_at_0(tmp_path: Path) -> None:
    path = write(tmp_path / "v.ts", NUMBERS)
    times = [time for time, _ in read_frames(path, SIDE, SIDE)]
    assert times == pytest.approx(np.arange(len(NUMBERS)) / 25, abs=1e-4)


def test_oblong_pixels_become_square(tmp_path: Path) -> None:
    def oblong(video, _):  # type: ignore[no-untyped-def]
        video.codec_context.sample_aspect_ratio = Fraction(2, 1)

    path = write(tmp_path / "v.mp4", NUMBERS, prepare=oblong)
    (_, picture), *_ = read_frames(path, 2 * SIDE, SIDE)
    assert number_of(picture[..., 0]) == NUMBERS[0], "all of it, twice as wide"


def moving(number: int) -> np.ndarray:
    """An edge that moves by 8 pixels between two fields, uint8 (SIDE, SIDE)."""
    picture = np.full((SIDE, SIDE), 40, np.uint8)
    picture[0::2, : 16 + 8 * number] = 210
    picture[1::2, : 16 + 8 * number + 8] = 210
    return picture


def comb(picture: np.ndarray) -> float:
    """How much neighbouring lines differ, over how much lines of one field do."""
    grey = picture[8:-8].astype(float)
    return float(np.abs(np.diff(grey, axis=0)).mean() / (np.abs(grey[2:] - grey[:-2]).mean() + 0.1))


def test_interlaced_pictures_have_no_comb_lines(tmp_path: Path) -> None:
    path = tmp_path / "v.mpg"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.bit_rate = "yuv420p", 4_000_000
        stream.options = {"flags": "+ilme+ildct"}
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.dstack([moving(number)] * 3), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_media(path) as container:
        picture = describe_picture(container, video_streams(container)[0])
        assert picture is not None and picture.interlaced
    with open_media(path) as container:
        raw = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    seen = [image[..., 0] for _, image in read_frames(path, SIDE, SIDE)]
    assert len(seen) == len(raw) == 10
    assert comb(raw[5]) > 5 and comb(seen[5]) < 2


def test_hdr_keeps_the_light_of_faces_and_never_clips_below_its_peak() -> None:
    nits = np.array([0.1, 1, 5, 15, 25, 60, 100, 300, 1000.0])
    grey = np.repeat(nits_to_pq(nits)[:, None], 3, axis=1)
    light = WHITE_NITS * to_bt709(grey, "smpte2084", wide=True)[:, 1] ** 2.4
    np.testing.assert_allclose(light[:5], nits[:5], rtol=0.02)
    assert (np.diff(light) > 0).all() and light[-1] == pytest.approx(100, rel=0.01)
    assert hlg_to_nits(np.full((1, 3), 0.75))[0, 0] == pytest.approx(203, rel=0.01), "BT.2408"


@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_frames_become_tagged_bt709(transfer: str) -> None:
    """A grey of 20 cd/m2 in 10 bits."""
    if transfer == "smpte2084":
        level = float(nits_to_pq(np.array(20.0)))
    else:
        levels = np.linspace(0, 1, 5001)
        nits = hlg_to_nits(np.repeat(levels[:, None], 3, axis=1))[:, 0]
        level = float(np.interp(20.0, nits, levels))
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    for plane, value in zip(frame.planes, (round(64 + 876 * level), 512, 512), strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, np.uint16).tobytes())
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    picture = Picture(64, 64, transfer=transfer, primaries="bt2020", matrix="bt2020nc")
    (made,) = converted([frame], picture)
    assert (made.colorspace, made.color_trc, made.color_primaries) == (1, 1, 1)
    told = 255 * (20 / WHITE_NITS) ** (1 / 2.4)
    np.testing.assert_allclose(to_upright_bgr(made, (64, 64), 0), told, atol=5)
