"""Every number of a video moves the way it should when the video gets worse."""

from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.generated import Asked, write_generations
from vexpress.faces.embedding import load_face_embedder
from vexpress.faces.kps_file import read_kps
from vexpress.faces.points import DlibDetector, Face
from vexpress.metrics.identity import LikenessScorer
from vexpress.metrics.keypoints import KpsScorer, kps_distance, nearest_face
from vexpress.metrics.lip_sync import LipSyncScorer, SyncNetScorer
from vexpress.metrics.picture import FlickerScorer, SharpnessScorer
from vexpress.metrics.table import METRICS, Measured
from vexpress.sync.lips import LipReader
from vexpress.sync.syncnet import SyncNet

FRAMES = 30


@cache
def video(folder: Path) -> tuple[list[np.ndarray], list[Face | None], np.ndarray]:
    """The first frames of a sample, their faces, and the published points, 512 px."""
    asked = read_kps(folder / "kps.pth")[:FRAMES]
    detector = DlibDetector()
    with av.open(str(folder / "gt.mp4")) as container:
        decoded = zip(range(FRAMES), container.decode(video=0), strict=False)
        frames = [
            cv2.resize(f.to_ndarray(format="bgr24"), (512, 512), interpolation=cv2.INTER_AREA)
            for _, f in decoded
        ]
    faces = [nearest_face(detector.detect(f), asked[n]) for n, f in enumerate(frames)]
    return frames, faces, asked


def ask(scorer: object, frames: list[np.ndarray], faces: list[Face | None]) -> dict[str, float]:
    """Show a scorer the whole video; gives its numbers."""
    for number, (frame, face) in enumerate(zip(frames, faces, strict=True)):
        scorer.see(number, frame, face)  # type: ignore[attr-defined]
    found: list[Measured] = scorer.results()  # type: ignore[attr-defined]
    assert all(m.name in METRICS and (m.value is None) == (m.reason is not None) for m in found)
    return {m.name: m.value for m in found if m.value is not None}


@pytest.mark.assets
def test_points_are_near_the_asked_ones_and_shifted_ones_are_as_far_as_they_were_shifted(
    assets: Path,
) -> None:
    frames, faces, asked = video(assets / "vexpress_samples/7")
    own = ask(KpsScorer(asked, "dlib"), frames, faces)
    assert own["kps_px"] < 6 and own["kps_share"] < 0.06 and own["face_found"] == 1
    far = ask(KpsScorer(asked + np.array([40, 30]), "dlib"), frames, faces)
    assert far["kps_px"] == pytest.approx(50, abs=own["kps_px"])
    half = [None if n % 2 else face for n, face in enumerate(faces)]
    gaps = ask(KpsScorer(asked, "dlib"), frames, half)
    assert gaps["face_found"] == 0.5 and gaps["kps_px"] == pytest.approx(own["kps_px"], abs=1)


@pytest.mark.assets
def test_a_person_is_like_herself_and_less_like_another(assets: Path) -> None:
    embedder = load_face_embedder("dlib")
    found = {}
    for name in ("AOC", "7"):
        frames, faces, _ = video(assets / "vexpress_samples" / name)
        assert faces[0] is not None
        reference = embedder.embed(frames[0], faces[0].points)
        found[name] = reference, frames, faces
    reference, frames, faces = found["AOC"]
    own = ask(LikenessScorer(embedder, reference, 6), frames, faces)
    other = ask(LikenessScorer(embedder, found["7"][0], 6), frames, faces)
    assert own["face_similarity"] > 0.96 > 0.9 > other["face_similarity"]
    assert own["face_similarity_low"] <= own["face_similarity"]


@pytest.mark.assets
def test_blur_lowers_sharpness_and_noise_raises_it(assets: Path) -> None:
    frames, faces, _ = video(assets / "vexpress_samples/AOC")
    own = ask(SharpnessScorer(frames[0]), frames, faces)["sharpness"]
    blurred = [cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames]
    random = np.random.default_rng(0)
    noisy = [np.clip(f + random.normal(0, 12, f.shape), 0, 255).astype(np.uint8) for f in frames]
    assert own == pytest.approx(1, abs=0.15)
    assert ask(SharpnessScorer(frames[0]), blurred, faces)["sharpness"] < 0.5 * own
    assert ask(SharpnessScorer(frames[0]), noisy, faces)["sharpness"] > 1.5 * own


@pytest.mark.assets
def test_shuffled_frames_flicker_and_a_slow_fade_does_not(assets: Path) -> None:
    frames, faces, _ = video(assets / "vexpress_samples/AOC")
    own = ask(FlickerScorer(), frames, faces)["flicker"]
    order = np.random.default_rng(0).permutation(len(frames))
    shuffled = [frames[n] for n in order]
    assert ask(FlickerScorer(), shuffled, faces)["flicker"] > 2 * own
    blinking = [cv2.add(f, (12 * (n % 2),) * 3) for n, f in enumerate(frames)]
    assert ask(FlickerScorer(), blinking, faces)["flicker"] > own + 8
    fading = [np.full((64, 64, 3), 50 + 2 * n, np.uint8) for n in range(20)]
    assert ask(FlickerScorer(), fading, [None] * 20)["flicker"] == 0


def test_what_cannot_be_measured_says_why() -> None:
    nothing = np.full((4, 3, 2), np.nan)
    asked = np.tile(np.array([[10.0, 10], [30, 10], [20, 20]]), (4, 1, 1))
    assert {m.reason for m in kps_distance(nothing, asked)} == {"no_face"}
    together = np.full((4, 3, 2), 10.0)
    assert {m.reason for m in kps_distance(asked, together)} == {"no_eyes"}
    grey = np.full((8, 8, 3), 90, np.uint8)
    flat = SharpnessScorer(grey)
    flat.see(0, grey, None)
    assert flat.results()[0].reason == "flat_reference"
    assert FlickerScorer().results()[0].reason == "too_short"
    for scorer in (KpsScorer(asked, "x"), SharpnessScorer(grey)):
        assert all(m.value is None and m.reason == "no_frames" for m in scorer.results())


def test_the_face_meant_is_the_one_near_the_asked_points() -> None:
    five = np.array([[10.0, 10], [30, 10], [20, 20], [14, 30], [26, 30]])
    inset = Face(np.zeros(4), five + 400, 0.99)
    meant = Face(np.zeros(4), five, 0.6)
    assert nearest_face([inset, meant], five[:3]) is meant
    assert nearest_face([], five[:3]) is None


@pytest.mark.assets
def test_late_sound_is_heard_and_foreign_sound_does_not_go_with_the_lips(
    assets: Path, tmp_path: Path
) -> None:
    found = {}
    for name, late, sample in (("own", 0.0, "3"), ("late", 0.2, "3"), ("other", 0.0, "7")):
        asked = Asked(name, sample="3", sound_late=late, sound_of=sample)
        dataset = write_generations(tmp_path, assets / "vexpress_samples", [asked], frames=200)
        path = Path(dataset.path(f"generated/{name}.mp4"))
        found[name] = lip_numbers(path)
    own, late, other = found["own"], found["late"], found["other"]
    assert own["lip_sound_confidence"] > 1.5 * other["lip_sound_confidence"]
    assert late["lip_sound_offset"] - own["lip_sound_offset"] == pytest.approx(5, abs=1)


def lip_numbers(path: Path) -> dict[str, float]:
    """The lip scorer's numbers of a video at 25 fps; a face is found in every fifth frame."""
    detector, scorer = DlibDetector(), LipSyncScorer(LipReader(), path, 25)
    frames, faces, last = [], [], None
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            frames.append(frame.to_ndarray(format="bgr24"))
            if number % 5 == 0:
                last = detector.detect(frames[-1])[0]
            faces.append(last)
    return ask(scorer, frames, faces)


def test_lips_that_are_not_seen_and_other_frame_rates_have_no_numbers(tmp_path: Path) -> None:
    scorer = LipSyncScorer(LipReader(), tmp_path / "none.mp4", 25)
    scorer.see(0, np.zeros((64, 64, 3), np.uint8), None)
    assert {m.reason for m in scorer.results()} == {"no_face"}
    syncnet = SyncNetScorer(SyncNet(), tmp_path / "none.mp4", 30)
    assert {m.reason for m in syncnet.results()} == {"not_25_fps"}
