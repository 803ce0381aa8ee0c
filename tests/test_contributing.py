"""The step that CONTRIBUTING.md shows works as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np

from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import ClipStep, Context, Rejection
from vexpress.tasks.engine.units import Candidate

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()


class CountConfig(Model):
    """How long a clip may be."""

    most_frames: int
    """Most frames."""


def candidate(frames: int) -> Candidate:
    video = Video(video_id="v", source="/v.mp4", status="ok", content_hash="v")
    clip = Clip(
        clip_id=f"c{frames}",
        video_id="v",
        source="/v.mp4",
        status="kept",
        scene_index=0,
        start_frame=0,
        end_frame=frames,
        start_s=0,
        end_s=frames / 25,
        faces=1,
        fps=25,
        frames=frames,
    )
    points = np.zeros((frames, 5, 2))
    times = np.arange(frames + 1) / 25
    return Candidate(video=video, clip=clip, times=times, points=points, detected=points[:, 0, 0])


def test_the_step_of_the_guide_runs_is_remembered_and_rejects(tmp_path: Path) -> None:
    names = {
        "ClipStep": ClipStep,
        "Candidate": Candidate,
        "ClassVar": ClassVar,
        "Iterator": Iterator,
        "Rejection": Rejection,
    }
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert code
    exec(code.group(1), names)
    data = Dataset(tmp_path)
    ledger = Ledger(data.ledger_path)
    step = names["CountFrames"](CountConfig(most_frames=100), Context(data))

    first = step.run(candidate(90), ledger)
    assert first[0].clip.features_note == "90 frames"
    assert step.run(candidate(90), ledger)[0].clip == first[0].clip
    long = step.run(candidate(120), ledger)[0].clip
    assert (long.status, long.reason) == ("rejected", "too_long")
    assert (ledger.tallies()["count"].run, ledger.tallies()["count"].reused) == (2, 1)
    ledger.close()
