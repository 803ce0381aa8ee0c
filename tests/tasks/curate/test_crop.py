"""A clip shows the frames it should, through the square it should, with their sound."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from tests.helpers.steps import SMALL_CROP, candidates, look, probed, rewrap, upright_frames
from tests.talking_heads import Shot, Speech, Truth, VideoFormat, render
from vexpress.schemas.clip import Clip
from vexpress.tasks.curate.crop import CropClip, CropConfig
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.resample import read_sound

FORM = VideoFormat(width=480, height=360, crf=16)
SPEECH = (Speech(text="One, two.", start_s=0.2), Speech(text="Three, four.", start_s=1.5))
SHOT = Shot(duration_s=2.4, background="coffee", pan_px=240, speech=SPEECH)
"""Four pixels a frame, so that neighbours are told apart; the second sentence near the end."""
BOX = (180.0, 100.0, 300.0, 230.0)
CUT = 14
"""First frame of the clip; key frames lie elsewhere."""


def cut_out(
    path: Path, context: Context, box: tuple[float, float, float, float] = BOX
) -> tuple[Candidate, Path]:
    """The clip of `path` from frame `CUT` on, and where it lies."""
    detected_video = look(probed(path), box, cuts=[CUT])
    candidate = candidates(detected_video, path.parent)[1]
    assert candidate.clip.start_frame == CUT
    step = CropClip(SMALL_CROP, context)
    (made,) = step.guarded(candidate, step)
    assert isinstance(made, Candidate)
    assert (made.clip.status, made.clip.detail) == ("kept", None)
    return made, Path(context.dataset.fetch(str(made.clip.media_path)))


def through_the_crop(picture: np.ndarray, clip: Clip, size: int) -> np.ndarray:
    """The square of an upright picture, black outside of it."""
    left, top, right, bottom = (
        int(side or 0) for side in (clip.crop_x1, clip.crop_y1, clip.crop_x2, clip.crop_y2)
    )
    wide = cv2.copyMakeBorder(picture, 400, 400, 400, 400, cv2.BORDER_CONSTANT, value=0)
    square = wide[top + 400 : bottom + 400, left + 400 : right + 400]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_CUBIC)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(cv2.PSNR(a, b))


def check_frames(path: Path, truth: Truth, made: Candidate, clip_path: Path) -> None:
    """Every frame of the clip is the one on screen at its time, and not a neighbour."""
    clip = made.clip
    source = upright_frames(path, (truth.width, truth.height))
    shown = upright_frames(clip_path, (SMALL_CROP.size, SMALL_CROP.size))
    times = np.array([frame.time_s for frame in truth.frames])
    assert len(source) == len(times)
    assert len(shown) == clip.frames == int((clip.end_s - clip.start_s) * clip.fps + 1e-3)
    references = [through_the_crop(picture, clip, SMALL_CROP.size) for picture in source]
    for number, picture in enumerate(shown):
        middle = times[CUT] + (number + 0.5) / clip.fps
        right = int(np.searchsorted(times, middle + 1e-6, side="right")) - 1
        if abs(times[right] - middle) < 1e-6:
            continue  # the source changes its picture in the very middle: either may be shown
        scores = {
            at: psnr(picture, references[at])
            for at in (right - 1, right, right + 1)
            if 0 <= at < len(references)
        }
        best = scores.pop(right)
        assert best > 30, f"frame {number}: {best:.1f} dB"
        assert best > max(scores.values()) + 5, f"frame {number}: {best:.1f} against {scores}"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"rotation": 90},
        {"rotation": 180},
        {"rotation": 270},
        {"pixel_aspect": Fraction(4, 3)},
        {"pixel_aspect": Fraction(3, 4), "rotation": 90},
        {"drop_every": 3},
        {"fps": Fraction(30)},
        {"fps": Fraction(30000, 1001), "rotation": 270},
        {"fps": Fraction(15)},
        {"pixel_format": "yuv422p10le"},
        {"width": 361, "height": 481, "pixel_format": "yuv444p"},
    ],
    ids=str,
)
def test_every_frame_is_the_right_one_through_the_right_square(
    change: dict[str, Any], tmp_path: Path, context: Context
) -> None:
    form = FORM.model_copy(update={"sound": False, **change})
    truth = render([SHOT], tmp_path / "v.mp4", form)
    made, clip_path = cut_out(tmp_path / "v.mp4", context)
    check_frames(tmp_path / "v.mp4", truth, made, clip_path)


@pytest.mark.parametrize("suffix", [".mkv", ".ts", ".mov"])
def test_other_containers_give_the_same_frames(
    suffix: str, tmp_path: Path, context: Context
) -> None:
    truth = render([SHOT], tmp_path / "v.mp4", FORM)
    path = rewrap(tmp_path / "v.mp4", tmp_path / f"again{suffix}")
    made, clip_path = cut_out(path, context)
    check_frames(path, truth, made, clip_path)
    check_sound(tmp_path / "v.mp4", made, clip_path)


@pytest.mark.parametrize(
    "box",
    [(120.0, -30.0, 360.0, 390.0), (0.0, 0.0, 120.0, 120.0), (400.0, 250.0, 480.0, 360.0)],
    ids=["larger than the picture", "top left corner", "bottom right corner"],
)
@pytest.mark.parametrize("rotation", [0, 90])
def test_a_square_at_the_border_is_moved_or_padded(
    box: tuple[float, float, float, float], rotation: int, tmp_path: Path, context: Context
) -> None:
    form = FORM.model_copy(update={"rotation": rotation, "sound": False})
    truth = render([SHOT], tmp_path / "v.mp4", form)
    made, clip_path = cut_out(tmp_path / "v.mp4", context, box)
    check_frames(tmp_path / "v.mp4", truth, made, clip_path)


def check_sound(path: Path, made: Candidate, clip_path: Path) -> None:
    """The clip is as long as its picture, and its end sounds like the source's at that time."""
    clip = made.clip
    length = clip.frames / clip.fps
    samples = round(length * 16000)
    from_clip = read_sound(str(clip_path), 0.0, samples + 8000, 16000)[:, 0]
    source_start = clip.start_s
    from_source = read_sound(str(path), source_start, samples, 16000)[:, 0]
    last = slice(samples - 12000, samples)
    assert np.abs(from_source[last]).max() > 0.05, "somebody speaks at the end"
    assert abs(lag(from_clip[last], from_source[last])) <= 16, "1 ms"
    with av.open(str(clip_path)) as container:
        picture, sound = container.streams
        assert picture.type == "video" and sound.type == "audio"
        decoded = sum(frame.samples for frame in container.decode(audio=0)) / sound.rate
        assert decoded == pytest.approx(length, abs=1 / clip.fps)
        assert float(picture.duration * picture.time_base) == pytest.approx(length)


def lag(heard: np.ndarray, told: np.ndarray) -> int:
    """How many samples later `heard` is."""
    return int(np.argmax(np.correlate(heard, told, "full"))) - (len(told) - 1)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"drop_every": 3},
        {"fps": Fraction(30)},
        {"sound_from_s": 0.9},
        {"sample_rate": 22050},
        {"rotation": 90},
    ],
    ids=str,
)
def test_sound_and_picture_are_together_at_the_end(
    change: dict[str, Any], tmp_path: Path, context: Context
) -> None:
    render([SHOT], tmp_path / "v.mp4", FORM.model_copy(update=change))
    made, clip_path = cut_out(tmp_path / "v.mp4", context)
    check_sound(tmp_path / "v.mp4", made, clip_path)


def test_a_source_without_sound_gives_a_clip_without(tmp_path: Path, context: Context) -> None:
    render([SHOT], tmp_path / "v.mp4", FORM.model_copy(update={"sound": False}))
    _, clip_path = cut_out(tmp_path / "v.mp4", context)
    with av.open(str(clip_path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_a_clip_is_h264_of_the_size_and_rate_asked_for(tmp_path: Path, context: Context) -> None:
    render([SHOT], tmp_path / "v.mp4", FORM)
    made, clip_path = cut_out(tmp_path / "v.mp4", context)
    assert made.clip.media_path == f"media/{made.clip.clip_id}.mp4"
    with av.open(str(clip_path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (256, 256, 25)
        keys = [n for n, frame in enumerate(container.decode(video=0)) if frame.key_frame]
        assert keys[:2] == [0, 25]
    content = clip_path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "plays while it loads"
    assert list(context.dataset.scratch.iterdir()) == []


def test_the_same_clip_has_the_same_bytes(tmp_path: Path, context: Context) -> None:
    render([SHOT], tmp_path / "v.mp4", FORM)
    _, clip_path = cut_out(tmp_path / "v.mp4", context)
    first = clip_path.read_bytes()
    cut_out(tmp_path / "v.mp4", context)
    assert clip_path.read_bytes() == first


@pytest.mark.parametrize("colorspace", [1, 5], ids=["BT.709", "BT.601"])
def test_colours_stay_what_they_were(colorspace: int, tmp_path: Path, context: Context) -> None:
    """A reader that follows the tags sees the same colours in source and clip."""
    colours = np.zeros((360, 480, 3), np.uint8)
    colours[:, :240], colours[:, 240:] = (200, 40, 30), (30, 170, 60)
    with av.open(str(tmp_path / "v.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        stream.codec_context.colorspace = colorspace
        for _ in range(30):
            frame = av.VideoFrame.from_ndarray(colours, "rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=colorspace)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    _, clip_path = cut_out(tmp_path / "v.mp4", context, (200.0, 100.0, 280.0, 180.0))
    seen = []
    for path in (tmp_path / "v.mp4", clip_path):
        with av.open(str(path)) as container:
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
        middle = picture.shape[1] // 2
        seen.append([picture[100, middle - 30], picture[100, middle + 30]])
    np.testing.assert_allclose(np.array(seen[0], int), [[200, 40, 30], [30, 170, 60]], atol=4)
    np.testing.assert_allclose(np.array(seen[1], int), np.array(seen[0], int), atol=4)


def test_a_source_that_changed_since_is_told_of(tmp_path: Path, context: Context) -> None:
    render([SHOT], tmp_path / "v.mp4", FORM)
    candidate = candidates(look(probed(tmp_path / "v.mp4"), BOX), tmp_path)[0]
    short = SHOT.model_copy(update={"duration_s": 1.0, "speech": ()})
    render([short], tmp_path / "v.mp4", FORM)
    step = CropClip(CropConfig(), context)
    (answer,) = step.guarded(candidate, step)
    assert isinstance(answer, Candidate)
    assert (answer.clip.status, answer.clip.reason) == ("rejected", "damaged")
    assert answer.clip.detail == "expected 60 frames, the source gave 25"
    assert answer.clip.is_error
    assert not list(context.dataset.scratch.iterdir())
    assert not context.dataset.names("media/*")


def test_frames_that_an_edit_list_hides_are_no_frames(tmp_path: Path, context: Context) -> None:
    """As phones trim: the first eight pictures are stored but not shown."""
    truth = render([SHOT], tmp_path / "v.mp4", FORM)
    unshifted = {"avoid_negative_ts": "disabled"}
    with (
        av.open(str(tmp_path / "v.mp4")) as old,
        av.open(str(tmp_path / "trimmed.mp4"), "w", options=unshifted) as new,
    ):
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                hidden = int(Fraction(8, 25) / packet.time_base)
                packet.pts, packet.dts = packet.pts - hidden, packet.dts - hidden
                packet.stream = copies[packet.stream.index]
                new.mux(packet)
    video = probed(tmp_path / "trimmed.mp4")
    assert (video.status, video.frames, video.start_s) == ("ok", 52, 0.0)
    assert video.duration_s == pytest.approx(2.08)
    made, clip_path = cut_out(tmp_path / "trimmed.mp4", context)
    shown = truth.model_copy(update={"frames": truth.frames[:52]})
    check_frames(tmp_path / "trimmed.mp4", shown, made, clip_path)
    check_sound(tmp_path / "v.mp4", made.update(start_s=made.clip.start_s + 0.32), clip_path)


def test_pictures_stored_out_of_order_in_an_avi_come_in_order(
    tmp_path: Path, context: Context
) -> None:
    truth = render([SHOT], tmp_path / "v.mp4", FORM)
    with av.open(str(tmp_path / "v.mp4")) as old, av.open(str(tmp_path / "v.avi"), "w") as new:
        stream = new.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 480, 360, "yuv420p"
        stream.codec_context.max_b_frames = 2
        stream.bit_rate = 4_000_000
        for frame in old.decode(video=0):
            plain = av.VideoFrame.from_ndarray(frame.to_ndarray(format="bgr24"), "bgr24")
            new.mux(stream.encode(plain.reformat(format="yuv420p")))
        new.mux(stream.encode(None))
    made, clip_path = cut_out(tmp_path / "v.avi", context)
    check_frames(tmp_path / "v.avi", truth, made, clip_path)
