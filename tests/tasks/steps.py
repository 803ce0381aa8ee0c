"""Run single steps of the chain, without the engine."""

from pathlib import Path

from schemas.dataset import Dataset
from schemas.video import Video
from tasks.crop import CropConfig
from tasks.faces import FaceConfig
from tasks.follow import FollowConfig, FollowFaces
from tasks.ledger import Ledger
from tasks.plan import ClipConfig, PlanClips, PlanConfig
from tasks.probe import ProbeConfig, ProbeVideo
from tasks.scenes import SceneConfig
from tasks.source import describe_file
from tasks.step import Context
from tasks.units import Candidate, Followed, Watched
from tasks.watch import WatchConfig, WatchVideo

WATCH = WatchConfig(scenes=SceneConfig(), faces=FaceConfig(backend="dlib"))
SMALL_CROP = CropConfig(size=256)


def probed(path: Path) -> Video:
    """What `probe` says of a file; a rejection is a rejected video."""
    step = ProbeVideo(ProbeConfig(), Context(Dataset(path.parent)))
    (video,) = step.guarded(describe_file(path), step)
    assert isinstance(video, Video)
    return video


def watch(video: Video, folder: Path, config: WatchConfig = WATCH) -> Watched | Video:
    """What `watch` finds in a video, or the video rejected; the ledger lies in `folder`."""
    ledger = Ledger(folder / "ledger.sqlite")
    answers = WatchVideo(config, Context(Dataset(folder))).run(video, ledger)
    ledger.close()
    found = answers[-1]
    assert isinstance(found, Watched | Video)
    return found


def candidates(
    watched: Watched, folder: Path, crop: CropConfig = SMALL_CROP, max_s: float = 10
) -> list[Candidate]:
    """What `follow` and `plan` make of it."""
    context = Context(Dataset(folder))
    plan = PlanClips(PlanConfig(clips=ClipConfig(max_s=max_s), crop=crop), context)
    stretches = FollowFaces(FollowConfig(), context)(watched)
    return [made for unit in stretches if isinstance(unit, Followed) for made in plan(unit)]
