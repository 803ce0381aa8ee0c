"""A data set whose clips tell their frame numbers in the picture and their seconds in the sound.

Pictures have a strip of eight bits, and a face of flat colours around known points; each second
begins with a tone of its own.
"""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.manifest import commit_batch, prepare_manifests, replace_table
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.row import Row
from vexpress.schemas.span import Listed
from vexpress.schemas.video import Video
from vexpress.tasks.curate.sound import RATE, write_wav

SIDE, FPS, BIT = 128, 25, 12
CENTRE = np.array([64, 52])
"""Middle of the face in the first frame."""
LENGTHS = (200, 130, 100, 40)
"""Frames of the clips; the last one is silent and of a list."""
TONE_S = 0.06


def centre_of(frame: int) -> np.ndarray:
    """Middle of the face, which sways."""
    return CENTRE + np.array([6 * np.sin(frame / 12), 3 * np.cos(frame / 9)])


def landmarks_of(frame: int) -> np.ndarray:
    """68 landmarks in iBUG's order, (68, 2): a jaw, two brows, a nose, eyes and lips."""
    turn = np.linspace(np.pi, 0, 17)
    jaw = np.stack([28 * np.cos(turn), 34 * np.sin(turn)], 1)
    brows = [np.stack([np.linspace(*x, 5), np.full(5, -16.0)], 1) for x in ((-22, -6), (6, 22))]
    nose = [[0, y] for y in (-10, -5, 0, 5)] + [[x, 8] for x in (-6, -3, 0, 3, 6)]
    eyes = [ellipse(6, x, -9, 5, 2) for x in (-12, 12)]
    lips = [ellipse(12, 0, 20, 10, 5), ellipse(8, 0, 20, 7, 2)]
    return np.concatenate([jaw, *brows, nose, *eyes, *lips]) + centre_of(frame)


def ellipse(count: int, x: float, y: float, a: float, b: float) -> np.ndarray:
    turn = np.arange(count) / count * 2 * np.pi
    return np.stack([x - a * np.cos(turn), y - b * np.sin(turn)], 1)


def five_of(marks: np.ndarray) -> np.ndarray:
    """Eyes, nose, mouth corners of landmarks (68, 2)."""
    return np.stack([marks[36:42].mean(0), marks[42:48].mean(0), marks[30], marks[48], marks[54]])


def draw(frame: int) -> np.ndarray:
    """The picture, BGR uint8 (SIDE, SIDE, 3)."""
    picture = np.full((SIDE, SIDE, 3), 90, np.uint8)
    marks = landmarks_of(frame)
    for part, colour in ((marks, (150, 180, 220)), (marks[48:60], (60, 60, 200))):
        cv2.fillConvexPoly(picture, cv2.convexHull(np.round(part).astype(np.int32)), colour)
    for bit in range(8):
        x = 16 + bit * BIT
        picture[SIDE - 12 : SIDE, x : x + BIT] = 255 if frame >> bit & 1 else 0
    return picture


def number_in(picture: np.ndarray) -> int:
    """The frame number that a picture of any size shows."""
    scale = picture.shape[0] / SIDE
    y = round((SIDE - 6) * scale)
    xs = [round((16 + bit * BIT + BIT / 2) * scale) for bit in range(8)]
    return sum(
        int(picture[y - 1 : y + 2, x - 1 : x + 2].mean() > 128) << b for b, x in enumerate(xs)
    )


def tone(second: int, rate: int) -> np.ndarray:
    """What is heard at the beginning of a second."""
    count = round(TONE_S * rate)
    pitch = 1000 + 250 * second
    return np.sin(2 * np.pi * pitch * np.arange(count) / rate) * np.hanning(count)


def find_tone(sound: np.ndarray, second: int, rate: int) -> float:
    """Where the tone of a second begins, seconds; sound float (N,)."""
    wave = tone(second, rate)
    complex_wave = np.exp(2j * np.pi * (1000 + 250 * second) * np.arange(len(wave)) / rate)
    strength = np.abs(np.convolve(sound, (complex_wave * np.hanning(len(wave)))[::-1], "valid"))
    return float(strength.argmax()) / rate


def sound_of(frames: int, rate: int = RATE) -> np.ndarray:
    """Sound of a clip, float32 (N,): exactly as long as its picture."""
    sound = np.zeros(frames * rate // FPS, np.float32)
    for second in range(int(frames / FPS)):
        begin = second * rate
        sound[begin : begin + round(TONE_S * rate)] += 0.5 * tone(second, rate)
    return sound


def write_clip(path: Path, frames: int) -> None:
    """Write picture and sound as MP4 and the sound as WAV beside it."""
    sound = sound_of(frames)
    write_wav(str(path.with_suffix(".wav")), sound)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=Fraction(FPS))
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "10", "preset": "veryfast"}
        track = output.add_stream("aac", rate=RATE, layout="mono")
        for number in range(frames):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(draw(number), format="bgr24")))
        output.mux(stream.encode(None))
        for first in range(0, len(sound), 1024):
            frame = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            output.mux(track.encode(frame))
        output.mux(track.encode(None))


def write_marked_dataset(root: Path, numbers: int = 512) -> Dataset:
    """Clips of `LENGTHS`, of two persons, the first person in two videos; the last has a caption.

    `numbers`: how many a face's vector has.
    """
    dataset = Dataset(root)
    dataset.create()
    prepare_manifests(dataset)
    (root / "media").mkdir()
    rows: list[Row] = []
    for number, frames in enumerate(LENGTHS):
        write_clip(root / f"media/clip{number}.mp4", frames)
        rows += [_video(number), _clip(number, frames), _points(number, frames)]
        rows.append(_vector(number, numbers))
    commit_batch(dataset, "batch", rows, ["source_mood"])
    people = [
        ClipPerson(clip_id=f"clip{n}", person_id=f"person{n // 2}", distance=0, backend="test")
        for n in range(len(LENGTHS))
    ]
    replace_table(dataset, ClipPerson, "test", lambda: people)
    return dataset


def _video(number: int) -> Video:
    return Video(
        video_id=f"video{number}",
        batch_id="batch",
        source=f"/home/me/films/{number}.mp4",
        status="ok",
        licence="CC0" if number else "CC BY 4.0",
        content_hash=f"hash{number}",
    )


def _clip(number: int, frames: int) -> Clip:
    is_last = number == len(LENGTHS) - 1
    words = {"caption": 'He says "no",\nand =1+1.', "source_columns": {"source_mood": "calm"}}
    return Clip(
        clip_id=f"clip{number}",
        video_id=f"video{number}",
        batch_id="batch",
        source=f"/home/me/films/{number}.mp4",
        status="kept",
        scene_index=0,
        start_frame=0,
        end_frame=frames,
        start_s=0,
        end_s=frames / FPS,
        faces=1,
        fps=FPS,
        frames=frames,
        crop_x1=0,
        crop_y1=0,
        crop_x2=SIDE,
        crop_y2=SIDE,
        face_share=0.5,
        sharpness=0.3 + 0.1 * number,
        speech_share=0.0 if is_last else 0.6,
        transcript=f"text {number}",
        media_path=f"media/clip{number}.mp4",
        audio_path=f"media/clip{number}.wav",
        listed=Listed(**words) if is_last else None,
    )


def _points(number: int, frames: int) -> ClipKps:
    marks = np.stack([landmarks_of(frame) for frame in range(frames)])
    points = np.stack([five_of(frame) for frame in marks])
    return ClipKps(
        clip_id=f"clip{number}",
        video_id=f"video{number}",
        batch_id="batch",
        kps=points[:, :3],
        points=points,
        detected=np.ones(frames, bool),
        landmarks=marks.reshape(-1, 2),
        landmark_count=68,
    )


def _vector(number: int, numbers: int) -> FaceEmbedding:
    return FaceEmbedding(
        clip_id=f"clip{number}",
        video_id=f"video{number}",
        batch_id="batch",
        backend="test",
        frames=[0],
        spread=0,
        embedding=np.full(numbers, number, np.float32),
    )
