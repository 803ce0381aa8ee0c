"""A rendered video, decoded once for all tests of the steps."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.broken_videos import make_broken_videos
from tests.helpers.steps import detect, probed
from tests.talking_heads import Face, Shot, Speech, Truth, VideoFormat, render
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import DetectedVideo

SMALL = VideoFormat(width=480, height=360)
SENTENCE = "The market moves into the long hall behind the station."
SHOTS = [
    Shot(
        duration_s=3.6,
        faces=(Face(width_px=140, sway_px=16, x=0.45),),
        speech=(Speech(text=SENTENCE, start_s=0.3),),
    ),
    Shot(duration_s=0.8, background="rocket", pan_px=20),
    Shot(
        duration_s=1.2,
        background="wall",
        faces=(
            Face(identity="mirrored", width_px=110, x=0.25),
            Face(identity="narrow", width_px=110, x=0.75),
        ),
    ),
    Shot(duration_s=1.6, faces=(Face(identity="mirrored", width_px=150),), background="office"),
]
"""One talking face, no face, two silent faces, one silent face."""


@dataclass(frozen=True)
class Rendered:
    """A rendered video, its truth, and what `probe` and `detect` say of it."""

    path: Path
    truth: Truth
    video: Video
    detected_video: DetectedVideo


@pytest.fixture(scope="session")
def four_shots(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """`SHOTS`, 180 frames at 480x360, 25 fps, faces found by dlib."""
    folder = tmp_path_factory.mktemp("four_shots")
    path = folder / "four_shots.mp4"
    truth = render(SHOTS, path, SMALL)
    video = probed(path)
    detected_video = detect(video, folder)
    assert isinstance(detected_video, DetectedVideo), detected_video.detail
    return Rendered(path, truth, video, detected_video)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """An empty data set for steps that write files."""
    dataset = Dataset(tmp_path / "set")
    dataset.create()
    return Context(dataset)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of broken and odd videos, relatives of one of 2.4 s at 480x360."""
    folder = tmp_path_factory.mktemp("broken")
    speech = (Speech(text="One, two, three."),)
    shot = Shot(duration_s=2.4, faces=(Face(width_px=140),), speech=speech)
    render([shot], folder / "sample.mp4", SMALL)
    make_broken_videos(folder / "videos", folder / "sample.mp4")
    return folder / "videos"
