"""What each trainer's loader asks of its data is true of an export, and sound and picture agree.

The rules are those that the loaders' own code follows, as `tasks/export/trainers/*.py` cites it.
"""

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from tests.helpers.marked_dataset import (
    FPS,
    LENGTHS,
    SIDE,
    centre_of,
    find_tone,
    five_of,
    landmarks_of,
    number_in,
    write_marked_dataset,
)
from vexpress.faces.v_kps_image import draw_v_kps
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError, QueryError
from vexpress.tasks.curate.sound import RATE
from vexpress.tasks.export.folder import ExportFolder
from vexpress.tasks.export.formats import TRAINERS
from vexpress.tasks.export.masks import TO_68, FacePlaces
from vexpress.tasks.export.trainer import PLACE, Exported, export_for
from vexpress.tasks.media.resample import read_sound

WITHIN_S = 0.005
"""How far a tone may be from its frame."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_marked_dataset(tmp_path_factory.mktemp("marked") / "set")


@pytest.fixture(scope="module")
def exported(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Exported]:
    """Everything, for every trainer, nothing held out."""
    root = tmp_path_factory.mktemp("exports")
    return {
        kind: export_for(trainer(), dataset, root / kind, validation_share=0, pairs=True)
        for kind, trainer in TRAINERS.items()
    }


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    """Frames of a video, BGR, and its rate."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [f.to_ndarray(format="bgr24") for f in container.decode(stream)], float(
            stream.average_rate
        )


def require_sync(video: Path, sound: Path, first_s: float = 0) -> None:
    """Every frame is the one that was shown, and every tone is where its second is."""
    pictures, fps = frames_of(video)
    numbers = [number_in(p) for p in pictures]
    shown = [int((first_s + (n + 0.5) / fps) * FPS) for n in range(len(pictures))]
    assert numbers == shown
    samples = round(len(pictures) / fps * RATE)
    heard = read_sound(str(sound), 0, samples, RATE)[:, 0]
    for second in range(int(first_s + 1), int(first_s + samples / RATE - 0.1)):
        assert abs(find_tone(heard, second, RATE) - (second - first_s)) <= WITHIN_S, second


def length_of_wav(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels) == (RATE, 1)
        assert stream.codec_context.name == "pcm_s16le"
        return int(stream.duration)


def test_videox_fun(exported: dict[str, Exported]) -> None:
    folder = exported["videox-fun"].folder
    listed = json.loads((folder / "metadata.json").read_text())
    assert len(listed) == len(LENGTHS)
    for entry in listed:
        assert {"file_path", "audio_path", "control_file_path", "text", "type"} <= entry.keys()
        assert entry["type"] == "video" and (entry["width"], entry["height"]) == (SIDE, SIDE)
        video, sound = folder / entry["file_path"], folder / entry["audio_path"]
        pictures, fps = frames_of(video)
        control, control_fps = frames_of(folder / entry["control_file_path"])
        assert (len(control), control_fps) == (len(pictures), fps)
        assert length_of_wav(sound) >= len(pictures) / fps * RATE, "never shorter than the window"
        require_sync(video, sound)
        eyes = draw_v_kps(np.array(_five(7)[:3]), SIDE, SIDE)[..., ::-1]
        assert np.abs(control[7].astype(int) - eyes).mean() < 4
    assert json.loads((folder / "metadata_validation.json").read_text()) == []


def _five(frame: int) -> np.ndarray:
    return five_of(landmarks_of(frame))


def test_diffsynth(exported: dict[str, Exported]) -> None:
    folder = exported["diffsynth"].folder
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["video"]).stem for row in rows] == ["clip0_0", "clip1_0"]
    for row in rows:
        pictures, fps = frames_of(folder / row["video"])
        pose, pose_fps = frames_of(folder / row["s2v_pose_video"])
        assert (len(pictures), fps) == (len(pose), pose_fps) == (81, 16)
        assert all(side % 16 == 0 for side in pictures[0].shape[:2])
        assert length_of_wav(folder / row["input_audio"]) == 81 * RATE // 16
        require_sync(folder / row["video"], folder / row["input_audio"])
    assert "left out: 2 too short" in exported["diffsynth"].said[0]


def test_latentsync(exported: dict[str, Exported], dataset: Dataset, tmp_path: Path) -> None:
    folder = exported["latentsync"].folder
    paths = (folder / "fileslist.txt").read_text().splitlines()
    assert paths == [f"{PLACE}/train/clip{n}.mp4" for n in range(3)], "40 frames are too few"
    for path in paths:
        video = folder / path.removeprefix(f"{PLACE}/")
        pictures, fps = frames_of(video)
        assert fps == 25 and len(pictures) >= 48
        assert {p.shape for p in pictures} == {(256, 256, 3)}
        heard = read_sound(str(video), 0, len(pictures) * RATE // 25, RATE)[:, 0]
        for second in range(1, len(pictures) // 25):
            assert abs(find_tone(heard, second, RATE) - second) <= WITHIN_S
        lips = [np.argwhere(_is_lips(p)).mean(axis=0) for p in pictures]
        assert np.ptp(np.array(lips), axis=0).max() < 6, "the face stands still"
    assert np.ptp([centre_of(n)[0] for n in range(100)]) > 10, "in the clip it does not"
    larger = export_for(TRAINERS["latentsync"](512), dataset, tmp_path / "512", "frames = 100")
    assert frames_of(larger.folder / "train/clip2.mp4")[0][0].shape == (512, 512, 3)


def _is_lips(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 2].astype(int) - picture[..., 1] > 80) & (picture[..., 0] < 120)


def test_musetalk(exported: dict[str, Exported]) -> None:
    folder = exported["musetalk"].folder
    head, *names = (folder / "HDTF/train.txt").read_text().splitlines()
    assert not head.endswith(".json"), "the loader skips a line"
    assert names == [f"clip{n}.json" for n in range(4)]
    for name, frames in zip(names, LENGTHS, strict=True):
        meta = json.loads((folder / "HDTF/meta" / name).read_text())
        video, sound = (
            folder / meta[key].removeprefix("./dataset/") for key in ("mp4_path", "wav_path")
        )
        assert "HDTF" in meta["mp4_path"]
        pictures, fps = frames_of(video)
        assert fps == 25 and meta["frames"] == len(pictures) == frames
        assert meta["video_size"] == list(pictures[0].shape[:2])
        points, boxes = np.array(meta["landmark_list"]), np.array(meta["face_list"])
        assert points.shape == (frames, 68, 2) and points.dtype.kind == "i"
        assert boxes.shape == (frames, 4) and (boxes[:, :2] < boxes[:, 2:]).all()
        assert np.abs(points[5] - landmarks_of(5)).max() <= 0.5
        height, width = meta["face_size"]
        assert [width, height] == (boxes[0, 2:] - boxes[0, :2]).tolist()
        require_sync(video, sound)
    assert "3 shorter than 160 frames, 4 with a face below 200 px" in exported["musetalk"].said[1]


def test_hallo(exported: dict[str, Exported]) -> None:
    folder = exported["hallo"].folder
    still = json.loads((folder / "vexpress_stage1.json").read_text())
    moving = json.loads((folder / "vexpress_stage2.json").read_text())
    assert len(still) == len(moving) == 4

    def here(path: str) -> Path:
        assert path.count("videos") + path.count("images") <= 1, "replaced in the whole path"
        return folder / path.removeprefix(f"{PLACE}/")

    for one, two, frames in zip(still, moving, LENGTHS, strict=True):
        pictures = sorted(here(one["image_path"]).iterdir())
        assert [p.name for p in pictures] == [f"{n:04d}.png" for n in range(frames)]
        assert number_in(cv2.imread(str(pictures[-1]))) == frames - 1
        face = cv2.imread(str(here(one["mask_path"])), cv2.IMREAD_UNCHANGED)
        assert face.shape == (SIDE, SIDE) and set(np.unique(face)) == {0, 255}
        assert face[tuple(centre_of(0)[::-1].astype(int))] == 255 and face[-1, 0] == 0
        assert torch.load(here(one["face_emb"])).shape == (512,)
        border, skin, lips = (
            cv2.imread(str(here(two[f"sep_mask_{part}"])), cv2.IMREAD_UNCHANGED)
            for part in ("border", "face", "lip")
        )
        for mask in (border, skin, lips):
            assert mask.shape == (64, 64) and (mask.min(), mask.max()) == (0, 255)
        mouth = landmarks_of(0)[48:60].mean(axis=0)[::-1] / SIDE * 64
        y, x = mouth.astype(int)
        assert lips[y, x] > 200 and border[0, 0] > 200 > 100 > border[y, x]
        assert {"face_emb_path", "vocals_emb_base_all", "video_path"} <= two.keys()
        require_sync(here(two["video_path"]), here(two["audio_path"]))


def test_hallo3(exported: dict[str, Exported]) -> None:
    folder = exported["hallo3"].folder
    listed = json.loads((folder / "vexpress.json").read_text())
    assert [Path(e["video_path"]).stem for e in listed] == ["clip0", "clip1", "clip2"]
    for entry, frames in zip(listed, LENGTHS[:3], strict=True):
        boxes = np.array(json.loads((folder / entry["bbox"].removeprefix(PLACE + "/")).read_text()))
        assert boxes.shape == (frames, 4) and boxes.min() >= 0 and boxes.max() <= 1
        x, y = centre_of(3) / SIDE
        assert boxes[3, 0] < x < boxes[3, 2] and boxes[3, 1] < y < boxes[3, 3]
        assert isinstance(entry["caption"], str)


def test_stableavatar(exported: dict[str, Exported]) -> None:
    folder = exported["stableavatar"].folder
    lines = (folder / "video_square_path.txt").read_text().splitlines()
    assert lines == [f"{PLACE}/speech/clip{n}" for n in range(3)], "81 frames"
    for line, frames in zip(lines, LENGTHS[:3], strict=True):
        assert any(word in line for word in ("speech", "singing", "dancing"))
        clip = folder / line.removeprefix(f"{PLACE}/")
        require_sync(clip / "sub_clip.mp4", clip / "audio.wav")
        for kind in ("images", "face_masks", "lip_masks"):
            names = {path.name for path in (clip / kind).iterdir()}
            assert names == {f"frame_{n}.png" for n in range(frames)}
        face, lips = (
            cv2.imread(str(clip / kind / "frame_9.png"), cv2.IMREAD_UNCHANGED)
            for kind in ("face_masks", "lip_masks")
        )
        picture = cv2.imread(str(clip / "images/frame_9.png"))
        drawn = _is_lips(picture)
        assert (lips > 0)[drawn].mean() > 0.9 and (lips > 0).sum() < 2 * drawn.sum()
        assert (face >= lips).all() and 0.05 < (face > 0).mean() < 0.5
    assert (folder / "video_rec_path.txt").read_text() == ""


def test_talkverse(exported: dict[str, Exported]) -> None:
    folder = exported["talkverse"].folder
    with (folder / "metadata.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    pictures, fps = frames_of(folder / row["video_path"])
    assert fps == 25.0 and len(pictures) >= 121 + 73
    require_sync(folder / row["video_path"], folder / row["video_path"])


def test_text_video(exported: dict[str, Exported]) -> None:
    folder = exported["text-video"].folder
    lines = (folder / "train/metadata.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    names = (folder / "train/videos.txt").read_text().splitlines()
    texts = (folder / "train/prompt.txt").read_text().splitlines()
    assert len(entries) == len(names) == len(texts) == 4
    for entry, name, text in zip(entries, names, texts, strict=True):
        video = folder / "train" / name
        assert entry == {"video_path": f"{PLACE}/train/{name}", "caption": text}
        assert video.with_suffix(".txt").read_text() == text and "\n" not in text
        require_sync(video, video)
    assert texts[3] == 'He says "no", and =1+1.'
    musubi = tomllib.loads((folder / "musubi.toml").read_text())
    assert musubi["datasets"][0]["source_fps"] == 25.0
    assert (musubi["datasets"][0]["target_frames"][0] - 1) % 4 == 0
    pipe = tomllib.loads((folder / "diffusion-pipe.toml").read_text())
    assert pipe["directory"][0]["path"] == f"{PLACE}/train"


def test_nothing_says_where_it_was_made(exported: dict[str, Exported], dataset: Dataset) -> None:
    for done in exported.values():
        for path in done.folder.rglob("*"):
            if path.suffix in (".json", ".jsonl", ".csv", ".txt", ".md", ".toml"):
                text = path.read_text()
                assert not any(
                    word in text for word in (dataset.root, str(done.folder), "/home/me")
                ), path
        assert str(done.folder) in done.command


def test_licences_are_those_of_what_is_there(exported: dict[str, Exported]) -> None:
    def licences(kind: str) -> dict[str, int]:
        said = json.loads((exported[kind].folder / "licences.json").read_text())
        return {entry["licence"]: entry["clips"] for entry in said["licences"]}

    assert licences("videox-fun") == {"CC BY 4.0": 1, "CC0": 3}
    assert licences("diffsynth") == {"CC BY 4.0": 1, "CC0": 1}


def test_pairs_are_of_one_person_and_two_videos(exported: dict[str, Exported]) -> None:
    folder = exported["videox-fun"].folder
    pairs = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    assert {p["clip_id"]: p["portrait_of"] for p in pairs} == {
        "clip0": "clip1",
        "clip1": "clip0",
        "clip2": "clip3",
        "clip3": "clip2",
    }
    for pair in pairs:
        portrait = cv2.imread(str(folder / pair["portrait"]))
        length = LENGTHS[int(pair["portrait_of"][-1])]
        assert number_in(portrait) == length // 2


def test_people_are_split_and_texts_are_asked_for(dataset: Dataset, tmp_path: Path) -> None:
    done = export_for(
        TRAINERS["videox-fun"](),
        dataset,
        tmp_path / "out",
        text="coalesce(caption, transcript)",
        validation_share=0.5,
    )
    train, held = (
        json.loads((done.folder / f"metadata{end}.json").read_text()) for end in ("", "_validation")
    )
    who = [{int(Path(e["file_path"]).stem[-1]) // 2 for e in part} for part in (train, held)]
    assert who[0] and who[1] and not who[0] & who[1]
    assert {e["text"] for e in train + held} == {
        *(f"text {n}" for n in range(3)),
        'He says "no",\nand =1+1.',
    }
    for wrong in ("no_such", "1) ; COPY (SELECT 1) TO 'x.csv'; SELECT (1"):
        with pytest.raises(QueryError):
            export_for(TRAINERS["videox-fun"](), dataset, tmp_path / "x", text=wrong)
    with pytest.raises(DatasetError, match="expected clips for TalkVerse; 0 of 1 clips; left out"):
        export_for(TRAINERS["talkverse"](), dataset, tmp_path / "y", "frames < 50")


def test_landmarks_of_106_are_those_of_68() -> None:
    assert len(set(TO_68)) == 68 and max(TO_68) < 106
    marks = np.zeros((1, 106, 2), np.float32)
    marks[0, list(TO_68)] = landmarks_of(0)
    places = FacePlaces(np.zeros((1, 5, 2), np.float32), marks, None)
    assert np.allclose(places.landmarks_68, landmarks_of(0)[None])


def test_without_landmarks_boxes_and_points_do(dataset: Dataset) -> None:
    points = _five(0)[None].astype(np.float32)
    box = np.array([[30, 20, 100, 110]], np.float32)
    places = FacePlaces(points, None, box)
    assert places.landmarks_68 is None and (places.face_boxes() == box).all()
    assert places.face_mask(0, SIDE).sum() == 255 * 70 * 90
    assert FacePlaces(points, None, None).face_mask(0, SIDE).any()
    mouth = landmarks_of(0)[48:60].mean(axis=0)[::-1].astype(int)
    assert places.lip_mask(0, SIDE)[tuple(mouth)] == 255


@pytest.mark.parametrize(("kind", "at"), [("diffsynth", 4), ("hallo", 90)])
def test_a_stopped_export_goes_on_to_the_same_bytes(
    kind: str,
    at: int,
    exported: dict[str, Exported],
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a kill leaves half written is another test's (`test_exports.py`)."""
    folder, write = tmp_path / "out", ExportFolder.write
    left = iter(range(at))

    def stop(self: ExportFolder, name: str, make: Any) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt
        write(self, name, make)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ExportFolder, "write", stop)
        export_for(TRAINERS[kind](), dataset, folder, validation_share=0, pairs=True)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.*") if p.parent != folder}
    export_for(TRAINERS[kind](), dataset, folder, validation_share=0, pairs=True)
    assert before and {p: p.stat().st_mtime_ns for p in before} == before, "not done again"
    assert contents(folder) == contents(exported[kind].folder)


def contents(folder: Path) -> dict[str, Any]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*") if p.is_file()
    }
