"""Exports are read back by those who will read them, go on when stopped, and touch nothing else."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from tests.helpers.training_dataset import FRAMES, points_of_clip, upload, write_dataset
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError, QueryError
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.manifest import replace_table, write_part
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.run import Run
from vexpress.tasks.export import webdataset as shards
from vexpress.tasks.export.clips import select_clips
from vexpress.tasks.export.folder import ExportFolder
from vexpress.tasks.export.huggingface import export_huggingface
from vexpress.tasks.export.training_list import export_list
from vexpress.tasks.export.webdataset import export_webdataset
from vexpress.tasks.train.clips import gather_clips
from vexpress.training.published_list import read_list

COUNT = 6
LICENCE = "CC BY 4.0 | <b>so they say</b>"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six kept clips of six sources that show three persons."""
    made = write_dataset(tmp_path_factory.mktemp("exports") / "set", COUNT, LICENCE)
    people = [
        ClipPerson(clip_id=f"clip{n}", person_id=f"person{n % 3}", distance=0, backend="test")
        for n in range(COUNT)
    ]
    replace_table(made, ClipPerson, "test", lambda: people)
    return made


def samples(folder: Path, split: str) -> list[dict[str, Any]]:
    """The clips of one split as WebDataset gives them."""
    tars = sorted(str(path) for path in folder.glob(f"{split}-*.tar"))
    return list(webdataset.WebDataset(tars, shardshuffle=False).decode())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*") if p.is_file()
    }


def test_webdataset_reads_every_clip_whole(dataset: Dataset, tmp_path: Path) -> None:
    folder = export_webdataset(dataset, tmp_path / "out", validation_share=0.3)
    found = {split: samples(folder, split) for split in ("train", "validation")}
    assert sorted(s["__key__"] for each in found.values() for s in each) == [
        f"clip{n}" for n in range(COUNT)
    ]
    people = {split: {s["json"]["person_id"] for s in each} for split, each in found.items()}
    assert people["validation"] and people["train"]
    assert not people["train"] & people["validation"], "no person is in both"
    for sample in found["train"] + found["validation"]:
        key = sample["__key__"]
        assert sample["mp4"] == (Path(dataset.root) / f"media/{key}.mp4").read_bytes()
        assert sample["npz"]["kps"].shape == (FRAMES, 3, 2)
        assert sample["npz"]["landmarks"].shape == (FRAMES, 68, 2)
        assert sample["npz"]["audio_embeds"].shape[1:] == (1, 32)
        told = sample["json"]
        assert told["source"] == f"{key[-1]}.mp4" and told["licence"] == LICENCE
        assert "batch_id" not in told and "media_path" not in told


def test_shards_are_not_larger_than_asked(dataset: Dataset, tmp_path: Path) -> None:
    one = export_webdataset(dataset, tmp_path / "one", validation_share=0)
    (whole,) = one.glob("*.tar")
    original = shards.plan_shards

    def smaller(selection: Any, most_bytes: int) -> Any:
        return original(selection, whole.stat().st_size // 2)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "plan_shards", smaller)
        several = export_webdataset(dataset, tmp_path / "several", validation_share=0)
    parts = sorted(several.glob("*.tar"))
    assert [part.name for part in parts] == [f"train-{n:06}.tar" for n in range(len(parts))]
    assert len(parts) >= 2
    assert all(part.stat().st_size <= whole.stat().st_size / 2 + 10240 for part in parts)
    assert len(samples(several, "train")) == COUNT


def test_an_export_goes_on_where_it_was_killed(dataset: Dataset, tmp_path: Path) -> None:
    script = (
        "import os, sys, vexpress.tasks.export.folder as f\n"
        "from pathlib import Path\n"
        "from vexpress.schemas.dataset import Dataset\n"
        "from vexpress.tasks.export.huggingface import export_huggingface\n"
        "real, count = f.ExportFolder.write, [0]\n"
        "def write(self, name, make):\n"
        "    count[0] += 1\n"
        "    if count[0] == 7:\n"
        "        (self.path / name).with_name('.x.partial').write_text('half')\n"
        "        os._exit(9)\n"
        "    real(self, name, make)\n"
        "f.ExportFolder.write = write\n"
        "export_huggingface(Dataset(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    folder = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", script, dataset.root, str(folder)], check=False)
    assert done.returncode == 9
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("clip*.*")}
    assert 0 < len(before) < 2 * COUNT
    export_huggingface(dataset, folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before, "done is not done again"
    whole = contents(export_huggingface(dataset, tmp_path / "whole"))
    assert contents(folder) == whole, "what the killed one left unfinished is gone"


def test_another_selection_leaves_nothing_of_the_old_one(dataset: Dataset, tmp_path: Path) -> None:
    for export in (export_huggingface, export_webdataset, export_list):
        folder = tmp_path / export.__name__
        export(dataset, folder)
        export(dataset, folder, "clip_id < 'clip3'")
        fresh = tmp_path / f"{export.__name__} fresh"
        export(dataset, fresh, "clip_id < 'clip3'")
        assert contents(folder) == contents(fresh), export.__name__


def test_other_points_are_exported_anew(tmp_path: Path) -> None:
    """The clip's id says nothing of them: a detector's settings may move them a little."""
    made = write_dataset(tmp_path / "set")
    exports = (export_huggingface, export_webdataset, export_list)
    old, fresh = tmp_path / "old", tmp_path / "fresh"
    for export in exports:
        export(made, old / export.__name__)
    before = contents(old)
    rows = [points_of_clip(number) for number in range(3)]
    moved = [row.model_copy(update={"points": row.points + 0.5}) for row in rows]
    write_part(made, "manifests/kps/batch.parquet", ClipKps, moved)
    for export in exports:
        export(made, old / export.__name__)
        export(made, fresh / export.__name__)
    assert contents(old) == contents(fresh)
    changed = {name for name, data in contents(old).items() if data != before[name]}
    assert changed >= {f"export_list/face_info/clip{n}.pt" for n in range(3)}
    assert {Path(name).suffix for name in changed} >= {".npz", ".tar"}


def test_files_of_others_are_never_touched(dataset: Dataset, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train-000000.tar").write_text("mine")
    for export in (export_huggingface, export_webdataset, export_list):
        with pytest.raises(DatasetError, match=r"found train-000000\.tar\. Name a new folder"):
            export(dataset, folder)
    with pytest.raises(DatasetError, match="expected an empty folder"):
        export_webdataset(dataset, Path(dataset.root))
    assert contents(folder) == {"train-000000.tar": b"mine"}
    other = export_webdataset(dataset, tmp_path / "other")
    with pytest.raises(
        DatasetError, match="expected an export to hf, found an export to webdataset"
    ):
        export_huggingface(dataset, other)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DatasetError, match="expected a folder, found a file"):
        export_huggingface(dataset, tmp_path / "file")


def test_a_plan_that_names_files_outside_removes_none(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    files = {"../precious": "x", str(tmp_path / "precious"): "y"}
    (folder / "export.json").write_text(json.dumps({"export": "hf", "files": files}))
    ExportFolder(folder, "hf").plan({})
    assert (tmp_path / "precious").read_text() == "mine"
    (folder / "export.json").write_text("[1]")
    with pytest.raises(DatasetError, match="cannot be read"):
        ExportFolder(folder, "hf")


def test_what_cannot_be_exported_is_said(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"^condition"):
        export_webdataset(dataset, tmp_path / "a", "no_such > 1")
    with pytest.raises(DatasetError, match="expected kept clips with frames > 999, found none"):
        export_huggingface(dataset, tmp_path / "b", "frames > 999")
    broken = write_dataset(tmp_path / "broken")
    (tmp_path / "broken/media/clip1.mp4").unlink()
    with pytest.raises(DatasetError, match=r"found none at media/clip1\.mp4"):
        export_webdataset(broken, tmp_path / "c")


CLOSED = [
    "true)) SELECT 1; {copy}; WITH chosen AS (SELECT clip_id FROM kept WHERE (true",
    "true)) USING (clip_id) LEFT JOIN (SELECT video_id, batch_id, licence FROM videos) v "
    "USING (video_id, batch_id); {copy}; SELECT kept.*, v.licence, '' AS split FROM kept "
    "SEMI JOIN (SELECT clip_id FROM kept WHERE (true",
    "true)) USING (clip_id) JOIN (SELECT clip_id, points, landmarks, landmark_count FROM kps) k "
    "USING (clip_id); {copy}; SELECT clip_id FROM kept SEMI JOIN (SELECT clip_id FROM kept "
    "WHERE (true",
]
"""Conditions that close the brackets around them, and say more."""


@pytest.mark.parametrize("where", CLOSED)
def test_a_condition_is_no_way_to_write(dataset: Dataset, where: str) -> None:
    before = sorted(Path(dataset.root).rglob("*"))
    where = where.format(copy=f"COPY (SELECT 1) TO '{dataset.root}/written.csv'")
    for read in (select_clips, gather_clips):
        with pytest.raises(QueryError, match=r"^condition"):
            read(dataset, where)
    assert sorted(Path(dataset.root).rglob("*")) == before


def test_a_list_of_a_bucket_keeps_its_videos(bucket: str, tmp_path: Path) -> None:
    """Copies in the data set's scratch folder are gone when a run that writes begins."""
    dataset = upload(write_dataset(tmp_path / "set", 2), f"{bucket}/set")
    listed = export_list(dataset, tmp_path / "list")
    assert not list(dataset.scratch.iterdir()), "nothing is left behind"
    clips = read_list(listed)
    assert [clip.files.clip_id for clip in clips] == ["clip0", "clip1"]
    for clip in clips:
        name = f"{clip.files.clip_id}.mp4"
        assert clip.files.video == str(tmp_path / "list/videos" / name)
        assert Path(clip.files.video).read_bytes() == (tmp_path / "set/media" / name).read_bytes()


def test_licences_of_sources_are_counted(dataset: Dataset, tmp_path: Path) -> None:
    for export in (export_huggingface, export_webdataset, export_list):
        folder = tmp_path / export.__name__
        export(dataset, folder)
        licences = json.loads((folder / "licences.json").read_text())
        assert licences["licences"] == [{"licence": LICENCE, "clips": COUNT}]
        assert licences["sources"][0] == {"source": "0.mp4", "licence": LICENCE, "clips": 1}
    entries = json.loads((tmp_path / "export_list/list.json").read_text())
    assert {entry["licence"] for entry in entries} == {LICENCE}
    assert len(read_list(tmp_path / "export_list/list.json")) == COUNT


def test_weights_are_those_of_the_runs_that_made_the_clips(tmp_path: Path) -> None:
    made = write_dataset(tmp_path / "set")
    for day, name in enumerate(("older", "maker", "later")):
        started = datetime.now(UTC) + timedelta(days=day - 1.5)
        used = [{"name": name, "files": [], "sha256": name, "licence": "none"}]
        begun = Run.begun(
            name,
            "curate",
            "/v",
            started,
            engine="local",
            config="{}",
            libraries=(),
            weights=used,
            notes=[],
        )
        write_part(made, f"manifests/runs/{name}.parquet", Run, [begun])
    export_huggingface(made, tmp_path / "out")
    licences = json.loads((tmp_path / "out/licences.json").read_text())
    assert [weights["name"] for weights in licences["weights"]] == ["maker"]
    for file in (tmp_path / "out").rglob("*.[jm][sd]*"):
        assert "/v/" not in file.read_text(), file


READ = """
import json, sys
from datasets import Video, load_dataset
found = {}
for split, rows in load_dataset(sys.argv[1], cache_dir=sys.argv[2]).items():
    rows = rows.cast_column("video", Video(decode=False))
    found[split] = [dict(row) for row in rows]
json.dump(found, open(sys.argv[3], "w"))
"""


def test_datasets_loads_the_folder_offline(dataset: Dataset, tmp_path: Path) -> None:
    folder = export_huggingface(dataset, tmp_path / "out", validation_share=0.3)
    command = [sys.executable, "-c", READ, folder, tmp_path / "cache", tmp_path / "found.json"]
    subprocess.run(list(map(str, command)), check=True, env=offline(tmp_path), cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert set(found) == {"train", "validation"}
    assert sum(map(len, found.values())) == COUNT
    people = [{row["person_id"] for row in rows} for rows in found.values()]
    assert not people[0] & people[1]
    for split, rows in found.items():
        for row in rows:
            video = Path(row["video"]["path"])
            assert video == folder / f"{split}/media/{row['clip_id']}.mp4"
            assert video.read_bytes() == (Path(dataset.root) / "media" / video.name).read_bytes()
            points = np.load(folder / split / row["points_path"])
            assert points["kps"].shape == (FRAMES, 3, 2) and points["audio_embeds"].ndim == 3
            assert row["licence"] == LICENCE and row["frames"] == FRAMES
            assert "batch_id" not in row


def test_the_card_counts_and_quotes_what_others_wrote(dataset: Dataset, tmp_path: Path) -> None:
    card = (export_huggingface(dataset, tmp_path / "out") / "README.md").read_text()
    assert re.search(r"\| train \| \d \| 0\.00 \| [12] \|", card)
    assert r"CC BY 4.0 \| &lt;b>so they say&lt;/b> | 6 |" in card
    assert "| person_id | Who is seen" in card


def offline(home: Path) -> dict[str, str]:
    import os

    return {**os.environ, "HF_HOME": str(home / "home"), "HF_HUB_OFFLINE": "1"}
