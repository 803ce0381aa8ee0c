"""A small data set as `vexpress curate` leaves it, made from rendered clips."""

import shutil
from pathlib import Path

import numpy as np

from tests.helpers.small_clips import points_at, write_clip
from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.video import Video

FRAMES = 40


def write_dataset(root: Path, count: int = 3, licence: str | None = None) -> Dataset:
    """`count` kept clips of as many sources, and one that was rejected."""
    dataset = Dataset(root)
    dataset.create()
    prepare_manifests(dataset)
    rows: list[Video | Clip | ClipKps] = []
    for number in range(count):
        name = f"clip{number}"
        write_clip(root / "made", name, FRAMES, number)
        for kind, suffix in (("media", "mp4"), ("features", "safetensors")):
            (root / kind).mkdir(exist_ok=True)
            shutil.move(root / f"made/{name}.{suffix}", root / f"{kind}/{name}.{suffix}")
        rows += [_video(number, licence), _clip(number, "kept"), points_of_clip(number)]
    shutil.rmtree(root / "made")
    rows += [_video(count, licence), _clip(count, "rejected")]
    commit_batch(dataset, "batch", rows)
    return dataset


def upload(dataset: Dataset, root: str) -> Dataset:
    """A copy of a local data set at `root`, such as s3://bucket/set."""
    copy = Dataset(root)
    for path in Path(dataset.root).rglob("*"):
        if path.is_file():
            copy.write(path.relative_to(dataset.root).as_posix(), path.read_bytes())
    return copy


def _video(number: int, licence: str | None) -> Video:
    names = {"video_id": f"video{number}", "source": f"/v/{number}.mp4", "licence": licence}
    return Video(**names, batch_id="batch", status="ok")


def _clip(number: int, status: str) -> Clip:
    kept = status == "kept"
    return Clip(
        clip_id=f"clip{number}",
        video_id=f"video{number}",
        batch_id="batch",
        source=f"/v/{number}.mp4",
        status=status,
        reason=None if kept else "no_face",
        scene_index=0,
        start_frame=0,
        end_frame=FRAMES,
        start_s=0,
        end_s=FRAMES / 25,
        faces=1,
        fps=25,
        frames=FRAMES,
        det_score_mean=0.9,
        speech_share=0.2 * number,
        media_path=f"media/clip{number}.mp4" if kept else None,
        features_path=f"features/clip{number}.safetensors" if kept else None,
    )


def points_of_clip(number: int) -> ClipKps:
    """The row of `kps` of a clip."""
    points = np.stack([points_at(frame, number) for frame in range(FRAMES)])
    mouth = np.linspace(points[:, 3], points[:, 4], 20, axis=1)
    others = np.repeat(points[:, 2:3], 48, axis=1)
    landmarks = np.concatenate([others, mouth], axis=1)
    return ClipKps(
        clip_id=f"clip{number}",
        video_id=f"video{number}",
        batch_id="batch",
        kps=points[:, :3],
        points=points,
        detected=np.ones(FRAMES, bool),
        landmarks=landmarks.reshape(-1, 2),
        landmark_count=68,
    )
