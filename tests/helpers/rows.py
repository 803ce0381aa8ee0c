"""Rows to write: one of each table, with everything that may be null left out or filled in."""

import numpy as np

from vexpress.schemas.clip import Clip
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.generation import Generation
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Row
from vexpress.schemas.scene import Scene
from vexpress.schemas.track import FaceTrack
from vexpress.schemas.video import Video

SOURCE = '/videos/it\'s a "talk".mp4'


def video(video_id: str = "v1", batch_id: str = "w1", **changes: object) -> Video:
    """An accepted video of ten seconds."""
    row = Video(video_id=video_id, batch_id=batch_id, source=SOURCE, status="ok", duration_s=10.0)
    return row.model_copy(update=changes)


def clip(clip_id: str = "c1", batch_id: str = "w1", **changes: object) -> Clip:
    """A kept clip, the first four seconds of its video."""
    row = Clip(
        clip_id=clip_id,
        video_id="v1",
        batch_id=batch_id,
        source=SOURCE,
        status="kept",
        scene_index=0,
        start_frame=0,
        end_frame=100,
        start_s=0.0,
        end_s=4.0,
        faces=1,
        fps=25.0,
        frames=100,
    )
    return row.model_copy(update=changes)


def scene(batch_id: str = "w1", end_s: float = 10.0) -> Scene:
    """A scene from the start of the video."""
    return Scene(
        video_id="v1",
        batch_id=batch_id,
        scene_index=0,
        start_s=0.0,
        end_s=end_s,
        start_frame=0,
        end_frame=round(end_s * 25),
    )


def track(frames: int = 3, landmark_count: int = 0, batch_id: str = "w1") -> FaceTrack:
    """A face whose numbers are all different."""
    numbers = np.arange(frames * 5 * 2, dtype=np.float32).reshape(frames, 5, 2) / 3
    landmarks = np.arange(frames * landmark_count * 2, dtype=np.float32).reshape(-1, 2) / 7
    return FaceTrack(
        track_id="t1",
        video_id="v1",
        batch_id=batch_id,
        scene_index=0,
        start_frame=0,
        end_frame=frames,
        start_s=0.0,
        end_s=frames / 25,
        face_side_px=100.0,
        score_mean=0.9,
        score_min=0.8,
        gap_frames=1,
        backend="dlib/hog-68",
        detected=np.arange(frames) % 2 == 0,
        boxes=numbers[:, :2].reshape(frames, 4),
        points=numbers,
        scores=np.linspace(0, 1, frames, dtype=np.float32),
        landmarks=landmarks if landmark_count else None,
        landmark_count=landmark_count,
    )


def kps(frames: int = 3, batch_id: str = "w1") -> ClipKps:
    """Points of a clip."""
    points = track(frames).points
    return ClipKps(
        clip_id="c1",
        video_id="v1",
        batch_id=batch_id,
        kps=points[:, :3],
        points=points,
        detected=np.ones(frames, bool),
    )


def one_batch(batch_id: str = "w1") -> list[Row]:
    """A whole batch: one video with a scene, a track, a clip and its points."""
    return [
        scene(batch_id),
        track(batch_id=batch_id),
        clip(batch_id=batch_id),
        kps(batch_id=batch_id),
        video(batch_id=batch_id),
    ]


def generation(request_id: str = "r1", finished_at: str = "2026-01-01", **changes: object) -> Row:
    """A video that was made."""
    row = Generation(
        request_id=request_id,
        asked_id="a1",
        run_id="run",
        requests="/requests.csv",
        row_number=1,
        status="made",
        reference="/ref.png",
        audio="/aud.wav",
        strategy="fix_face",
        parameters="{}",
        weights="tiny",
        weights_sha256="0" * 64,
        licence="none",
        out_path=f"generations/{request_id}.mp4",
        width=64,
        height=64,
        fps=25.0,
        notes=[],
        seconds=1.0,
        started_at="2026-01-01",
        finished_at=finished_at,
        attempt=1,
        worker="local",
    )
    return row.model_copy(update=changes)


def evaluation(request_id: str | None, value: float | None, **changes: object) -> Row:
    """A number of a video."""
    row = Evaluation(
        request_id=request_id,
        weights="run-a",
        weights_sha256="aaaa",
        metric="kps_px",
        version=1,
        status="unmeasurable" if value is None else "measured",
        value=value,
        unit="px",
        better="less",
        key="k",
        run_id="e1",
        evaluated_at="2026-01-01",
    )
    return row.model_copy(update=changes)
