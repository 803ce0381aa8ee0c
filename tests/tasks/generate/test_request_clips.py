"""What a clip of the data set stands in for."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.training_dataset import FRAMES, write_dataset
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.generate.request_clips import find_clips, middle_picture, write_inputs


def test_the_picture_of_a_clip_is_its_middle_one(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set", 1)
    picture = middle_picture(dataset, "media/clip0.mp4").astype(int)
    with av.open(str(tmp_path / "set/media/clip0.mp4")) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    errors = [np.abs(picture - frame).mean() for frame in shown]
    assert int(np.argmin(errors)) == len(shown) // 2 == FRAMES // 2 and min(errors) < 2


def test_a_clip_gives_picture_points_and_sound(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set", 2)
    clip = find_clips(dataset, ["clip1", "nobody"])["clip1"]
    files = write_inputs(dataset, clip, tmp_path)
    assert set(files) == {"reference", "kps", "audio"} and all(f.is_file() for f in files.values())


def test_a_clip_without_pictures_is_rejected(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "set", 1)
    (tmp_path / "set/media/clip0.mp4").write_bytes(b"")
    with pytest.raises(Rejection):
        middle_picture(dataset, "media/clip0.mp4")
