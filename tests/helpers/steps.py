"""Run single steps of the chain, without the engine."""

from pathlib import Path

import av
import cv2
import numpy as np

from tests.helpers.detections import five_points
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.video import Video
from vexpress.tasks.curate.clips import ClipConfig, CutClips, CutConfig
from vexpress.tasks.curate.crop import CropConfig
from vexpress.tasks.curate.detect import DetectConfig, DetectVideo
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.curate.probe import ProbeConfig, ProbeVideo
from vexpress.tasks.curate.scenes import SceneConfig
from vexpress.tasks.curate.track import TrackConfig, TrackFaces
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate, Cuts, DetectedVideo, Detections, Segment
from vexpress.tasks.media.frames import Frames, open_video
from vexpress.tasks.media.source import describe_file

DETECT = DetectConfig(scenes=SceneConfig(), faces=FaceConfig(backend="dlib"))
SMALL_CROP = CropConfig(size=256)


def probed(path: Path) -> Video:
    """What `probe` says of a file; a rejection is a rejected video."""
    step = ProbeVideo(ProbeConfig(), Context(Dataset(path.parent)))
    (video,) = step.guarded(describe_file(path), step)
    assert isinstance(video, Video)
    return video


def detect(video: Video, folder: Path, config: DetectConfig = DETECT) -> DetectedVideo | Video:
    """What `detect` finds in a video, or the video rejected; the ledger lies in `folder`."""
    ledger = Ledger(folder / "ledger.sqlite")
    answers = DetectVideo(config, Context(Dataset(folder))).run(video, ledger)
    ledger.close()
    found = answers[-1]
    assert isinstance(found, DetectedVideo | Video)
    return found


def candidates(
    detected_video: DetectedVideo, folder: Path, crop: CropConfig = SMALL_CROP, max_s: float = 10
) -> list[Candidate]:
    """What `track` and `clips` make of it."""
    context = Context(Dataset(folder))
    plan = CutClips(CutConfig(clips=ClipConfig(max_s=max_s), crop=crop), context)
    segments = TrackFaces(TrackConfig(), context)(detected_video)
    return [made for unit in segments if isinstance(unit, Segment) for made in plan(unit)]


def look(
    video: Video, box: tuple[float, float, float, float], cuts: list[int] | None = None
) -> DetectedVideo:
    """A video looked at with one face, made up, that fills `box` in every frame."""
    with open_video(video) as container:
        frames = Frames(container, video)
        for _ in frames:
            pass
    count = len(frames.times)
    boxes = np.tile(np.array(box, np.float32), (count, 1))
    seen = Detections(
        backend="made up",
        every=1,
        frames=np.arange(count, dtype=np.int32),
        boxes=boxes,
        points=five_points(boxes),
        scores=np.full(count, 0.9, np.float32),
        landmarks=np.zeros((0, 2), np.float32),
        landmark_count=0,
    )
    times = np.array([*frames.times, frames.times[-1] + 1 / (video.fps or 25)])
    return DetectedVideo(video=video, cuts=Cuts(times=times, cuts=cuts or []), detections=seen)


def rewrap(source: Path, target: Path) -> Path:
    """Copy the streams of a file into the container that the name of `target` tells."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        copies = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                new.mux(packet)
    return target


def upright_frames(path: Path, size: tuple[int, int]) -> list[np.ndarray]:
    """Every frame as grey uint8 (height, width), by other means than ours."""
    with av.open(str(path)) as container:
        return [
            cv2.resize(
                np.rot90(frame.to_ndarray(format="gray"), frame.rotation // 90),
                size,
                interpolation=cv2.INTER_CUBIC,
            )
            for frame in container.decode(video=0)
        ]
