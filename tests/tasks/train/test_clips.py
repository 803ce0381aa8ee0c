"""Clips of a data set, of a published list, and of one exported from the other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.training_dataset import FRAMES, write_dataset
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import QueryError
from vexpress.schemas.manifest import write_part
from vexpress.schemas.person import ClipPerson
from vexpress.tasks.export.training_list import export_list
from vexpress.tasks.train.clips import gather_clips
from vexpress.training.audio_features import read_vectors
from vexpress.training.clips import ClipError, split_clips
from vexpress.training.published_list import read_list


@pytest.fixture()
def dataset(tmp_path: Path) -> Dataset:
    return write_dataset(tmp_path / "dataset")


def test_kept_clips_come_with_points_sound_and_lips(dataset: Dataset) -> None:
    clips = gather_clips(dataset)
    assert [clip.files.clip_id for clip in clips] == ["clip0", "clip1", "clip2"]
    first = clips[0]
    assert first.kps.shape == (FRAMES, 3, 2) and first.files.group == "video0"
    assert (first.files.width, first.files.height) == (64, 64)
    assert first.files.lips == "68 landmarks"
    width = np.diff(first.lip_boxes[:, ::2], axis=1)
    assert width == pytest.approx(28, abs=1e-3), "twice the 14 px between the mouth corners"


def test_clips_of_one_person_are_held_out_together(dataset: Dataset) -> None:
    """clip0 and clip2 are of two sources and one person; of clip1 nobody knows who it is."""
    who = {"person_id": "p", "distance": 0.0, "backend": "made up"}
    seen = [ClipPerson(clip_id=f"clip{n}", **who) for n in (0, 2)]
    write_part(dataset, "manifests/persons/1.parquet", ClipPerson, seen)
    clips = gather_clips(dataset)
    assert [clip.files.group for clip in clips] == ["p", "video1", "p"]
    for seed in range(5):
        train, held = split_clips([clip.files for clip in clips], 0.5, seed)
        assert {0, 2} in (set(train), set(held)), "the person is on one side"


def test_a_condition_chooses_clips(dataset: Dataset) -> None:
    chosen = gather_clips(dataset, "speech_share > 0.1 and frames >= 30")
    assert [clip.files.clip_id for clip in chosen] == ["clip1", "clip2"]


@pytest.mark.parametrize("where", ["no_such_column > 1", "frames >", "1; SELECT 2"])
def test_a_wrong_condition_is_refused(dataset: Dataset, where: str) -> None:
    with pytest.raises(QueryError, match=r"^condition"):
        gather_clips(dataset, where)


def test_a_condition_that_nothing_satisfies_says_so(dataset: Dataset) -> None:
    with pytest.raises(ClipError, match="expected kept clips with frames > 999, found none"):
        gather_clips(dataset, "frames > 999")


def test_missing_media_and_short_sound_are_named_together(dataset: Dataset) -> None:
    root = Path(dataset.root)
    (root / "media/clip0.mp4").unlink()
    other = root / "features/clip1.safetensors"
    from safetensors.torch import save_file

    save_file({"global_embeds": torch.zeros(20, 1, 32)}, other)
    with pytest.raises(ClipError) as raised:
        gather_clips(dataset)
    said = str(raised.value)
    assert "2 of 3 clips cannot be trained on" in said
    assert "clip0: media/clip0.mp4 is missing" in said
    assert "expected about 80 audio vectors for 40 frames" in said and "found 20" in said


def test_an_exported_list_reads_back_the_same(dataset: Dataset, tmp_path: Path) -> None:
    path = export_list(dataset, tmp_path / "list", "speech_share < 0.3")
    listed, gathered = read_list(path), gather_clips(dataset, "speech_share < 0.3")
    assert len(listed) == len(gathered) == 2
    for found, expected in zip(listed, gathered, strict=True):
        assert found.files.clip_id == expected.files.clip_id
        assert found.files.video == expected.files.video
        assert np.array_equal(found.kps, expected.kps)
        assert np.array_equal(found.lip_boxes, expected.lip_boxes)
        sounds = [read_vectors(Path(clip.files.sound)) for clip in (found, expected)]
        assert torch.equal(*sounds)


@pytest.mark.assets
def test_the_published_example_of_a_list_is_read(assets: Path, tmp_path: Path) -> None:
    base = assets / "vexpress_samples/RD_Radio10/RD_Radio10_0_clip_0"
    entry = {
        "video": f"{base}.mp4",
        "face_info": f"{base}_face_info.pt",
        "audio_embeds": f"{base}_aud_embeds.pt",
    }
    (tmp_path / "list.json").write_text(json.dumps([entry]))
    (clip,) = read_list(tmp_path / "list.json")
    assert clip.files.frames == 61 and clip.files.lips == "106 landmarks"
    assert read_vectors(Path(clip.files.sound)).shape == (102, 768)
    x1, y1, x2, y2 = clip.lip_boxes[0]
    nose = clip.kps[0, 2]
    assert x1 < nose[0] < x2 and nose[1] < (y1 + y2) / 2 and 100 < x2 - x1 < 250


class Danger:
    """Would run a command when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.system, ("touch ran",)


def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export_list(dataset, tmp_path / "list")
    torch.save([Danger()], tmp_path / "list/face_info/clip1.pt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClipError, match="nothing of it was run"):
        read_list(path)
    assert not (tmp_path / "ran").exists()


def test_a_frame_without_exactly_one_face_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    path = export_list(dataset, tmp_path / "list")
    face = {"kps": np.zeros((5, 2), np.float32)}
    torch.save([[face]] * 39 + [[face, face]], tmp_path / "list/face_info/clip0.pt")
    with pytest.raises(ClipError, match="exactly one face with five points in every frame"):
        read_list(path)
