"""The training list of published V-Express: JSON, with face information and embeddings beside.

    [{"video": …, "face_info": ….pt, "audio_embeds": ….pt}]

Paths are absolute or relative to the list. Each frame of `face_info` is a list of one
dict of insightface's; `audio_embeds` holds `global_embeds` (N, 1, E).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import decord
import numpy as np
import torch

from vexpress.errors import InputError
from vexpress.pt_files import read_pt
from vexpress.training.audio_features import KEY, check_vectors
from vexpress.training.clips import ClipError, ClipFiles, TrainingClip
from vexpress.training.lips import lip_boxes, lip_source

ENTRIES = {"video", "face_info", "audio_embeds"}
UNCOUNTED = 1
"""Frames by which decoders disagree about the length of a video."""


@dataclass(frozen=True)
class Listed:
    """The face of one clip as it is written to a list, in pixels of the picture."""

    points: np.ndarray
    """float32 (F, 5, 2)."""
    landmarks: np.ndarray | None
    """float32 (F, 106, 2) or (F, 68, 2) or None."""
    boxes: np.ndarray | None
    """float32 (F, 4), x1 y1 x2 y2; None: the box of the landmarks, or of the points."""
    scores: np.ndarray
    """float (F,): detector score, 0..1."""


def read_list(path: Path) -> list[TrainingClip]:
    """Read a list and check every file it names.

    Raises ClipError that says which entry is wrong and why.
    """
    try:
        entries = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ClipError(f"{path}: expected a JSON list of clips: {error}") from error
    if not isinstance(entries, list) or not all(_is_entry(entry) for entry in entries):
        raise ClipError(f"{path}: expected a list of objects with the keys {sorted(ENTRIES)}")
    return [_read_clip(path.parent, entry) for entry in entries]


def write_face_info(clip: Listed, path: Path) -> None:
    """Write the faces of a clip.

    What the data does not hold is None there: pose, gender, age, embedding. 68 landmarks
    are written as `landmark_3d_68` with depth zero.
    """
    faces = [[_face(clip, frame)] for frame in range(len(clip.points))]
    with path.open("wb") as file:  # torch would write the name of a path into the file
        torch.save(faces, file)


def write_vectors(vectors: torch.Tensor, path: Path) -> None:
    """Write audio embeddings, float32 (N, 1, E)."""
    with path.open("wb") as file:
        torch.save({KEY: vectors}, file)


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and all(isinstance(entry.get(key), str) for key in ENTRIES)


def _read_clip(folder: Path, entry: dict[str, str]) -> TrainingClip:
    video, info, sound = (folder / entry[k] for k in ("video", "face_info", "audio_embeds"))
    missing = [str(path) for path in (video, info, sound) if not path.is_file()]
    if missing:
        raise ClipError(f"the list names {', '.join(missing)}, which is missing")
    points, landmarks = _read_faces(info)
    frames, fps, (width, height) = _probe(video)
    if abs(frames - len(points)) > UNCOUNTED:
        raise ClipError(f"{info}: expected {frames} frames as in {video}, found {len(points)}")
    frames = min(frames, len(points))
    check_vectors(sound, frames, fps)
    count = 0 if landmarks is None else landmarks.shape[1]
    files = ClipFiles(
        clip_id=video.stem,
        video=str(video),
        sound=str(sound),
        group=str(video),
        frames=frames,
        width=width,
        height=height,
        lips=lip_source(count),
    )
    marks = None if landmarks is None else landmarks[:frames]
    return TrainingClip(files, points[:frames, :3], lip_boxes(points[:frames], marks, count))


def _read_faces(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (F, 5, 2), and landmarks (F, 106 or 68, 2) where every frame has them."""
    try:
        faces = [frame[0] for frame in read_pt(path) if len(frame) == 1]
        total = len(read_pt(path))
        points = np.stack([np.asarray(face["kps"], np.float32) for face in faces])
    except (InputError, TypeError, KeyError, ValueError, IndexError) as error:
        raise ClipError(f"{path}: expected a list of one face a frame: {error}") from error
    if len(faces) != total or points.shape[1:] != (5, 2):
        raise ClipError(
            f"{path}: expected exactly one face with five points in every frame, found "
            f"{len(faces)} such frames of {total}"
        )
    for name, count in (("landmark_2d_106", 106), ("landmark_3d_68", 68)):
        found = [face.get(name) for face in faces]
        if all(isinstance(f, np.ndarray) and len(f) == count for f in found):
            return points, np.stack(found)[..., :2].astype(np.float32)
    return points, None


def _probe(video: Path) -> tuple[int, float, tuple[int, int]]:
    """Frames, frame rate, and width and height."""
    try:
        reader: Any = decord.VideoReader(str(video), num_threads=1)
        height, width = reader[0].shape[:2]
        return len(reader), float(reader.get_avg_fps()), (width, height)
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise ClipError(f"{video} cannot be decoded: {error}") from error


def _face(clip: Listed, frame: int) -> dict[str, Any]:
    points = clip.points[frame]
    marks = None if clip.landmarks is None else clip.landmarks[frame]
    around = points if marks is None else marks
    corners = np.concatenate([around.min(axis=0), around.max(axis=0)])
    deep = None if marks is None or len(marks) != 68 else np.pad(marks, ((0, 0), (0, 1)))
    return {
        "bbox": (corners if clip.boxes is None else clip.boxes[frame]).astype(np.float32),
        "kps": points.astype(np.float32),
        "det_score": np.float32(clip.scores[frame]),
        "landmark_3d_68": deep,
        "pose": None,
        "landmark_2d_106": marks if marks is not None and len(marks) == 106 else None,
        "gender": None,
        "age": None,
        "embedding": None,
    }
