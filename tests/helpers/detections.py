"""Made-up detections of a video: who is seen where, frame after frame."""

import numpy as np

from vexpress.schemas.video import Video
from vexpress.tasks.engine.units import Cuts, DetectedVideo, Detections

FPS = 25.0
WIDTH, HEIGHT = 1280, 720

Seen = tuple[int, float, float]
"""Side of the face, x and y of its centre, pixels."""


def detected_video(
    faces: list[list[Seen]], cuts: list[int] | None = None, every: int = 1
) -> DetectedVideo:
    """A video whose frame i shows the faces `faces[i]`; scores differ from face to face."""
    found = [(frame, face) for frame, seen in enumerate(faces) for face in seen]
    squares = np.array([square(*face) for _, face in found], np.float32).reshape(-1, 4)
    video = Video(
        video_id="v1",
        source="/v.mp4",
        status="ok",
        content_hash="hash",
        width=WIDTH,
        height=HEIGHT,
        fps=FPS,
        audio_streams=1,
    )
    detections = Detections(
        backend="made up",
        every=every,
        frames=np.array([frame for frame, _ in found], np.int32),
        boxes=squares,
        points=five_points(squares),
        scores=np.linspace(0.6, 0.9, len(found), dtype=np.float32),
        landmarks=np.zeros((0, 2), np.float32),
        landmark_count=0,
    )
    times = np.arange(len(faces) + 1) / FPS
    return DetectedVideo(
        video=video, cuts=Cuts(times=times, cuts=cuts or []), detections=detections
    )


def square(side: float, x: float, y: float) -> tuple[float, float, float, float]:
    return x - side / 2, y - side / 2, x + side / 2, y + side / 2


def five_points(boxes: np.ndarray) -> np.ndarray:
    """Eyes, nose and mouth corners at fixed places of each box, float32 (N, 5, 2)."""
    places = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    sides = boxes[:, None, 2:] - boxes[:, None, :2]
    return (boxes[:, None, :2] + places * sides).astype(np.float32)
