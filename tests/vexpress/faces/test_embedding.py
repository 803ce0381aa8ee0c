"""Identity vectors: one person close, another far, whatever the size and turn of the picture."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.helpers.made_up_recogniser import write_recogniser
from vexpress.errors import FaceModelError, PointsError
from vexpress.faces.embedding import (
    ARCFACE_POINTS,
    DLIB_POINTS,
    align_face,
    find_arcface,
    load_face_embedder,
    similarity,
)
from vexpress.faces.points import DlibDetector


def frames_of(path: Path, numbers: tuple[int, ...]) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        shown = enumerate(frame.to_ndarray(format="bgr24") for frame in container.decode(video=0))
        return [picture for number, picture in shown if number in numbers]


@pytest.mark.assets
def test_one_person_is_closer_to_herself_than_to_anyone_else(assets: Path) -> None:
    detector, embedder = DlibDetector(), load_face_embedder("dlib")
    vectors = []
    for name in ("AOC", "talk_jocker", "7"):
        for picture in frames_of(assets / "vexpress_samples" / name / "gt.mp4", (0, 60)):
            face = detector.detect(picture)[0]
            vectors.append((name, embedder.embed(picture, face.points)))
    pairs = [(a, b) for i, a in enumerate(vectors) for b in vectors[i + 1 :]]
    own = [np.linalg.norm(u - v) for (a, u), (b, v) in pairs if a == b]
    others = [np.linalg.norm(u - v) for (a, u), (b, v) in pairs if a != b]
    assert max(own) < 0.45 and min(others) > 0.6, "dlib's own limit is 0.6"
    assert embedder.size == 128 == len(vectors[0][1])


@pytest.mark.assets
def test_size_and_turn_of_the_picture_hardly_matter(assets: Path) -> None:
    (picture,) = frames_of(assets / "vexpress_samples/7/gt.mp4", (0,))
    points = DlibDetector().detect(picture)[0].points
    embedder = load_face_embedder("dlib")
    turn = cv2.getRotationMatrix2D((256, 256), 20, 0.8)
    turned = cv2.warpAffine(picture, turn, (512, 512))
    moved = points @ turn[:, :2].T + turn[:, 2]
    plain, other = embedder.embed(picture, points), embedder.embed(turned, moved)
    assert similarity(plain, other) > 0.98
    large = cv2.resize(picture, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert similarity(plain, embedder.embed(large, points * 3)) > 0.99


@pytest.mark.parametrize(("template", "side"), [(ARCFACE_POINTS, 112), (DLIB_POINTS, 150)])
def test_a_face_lands_where_the_network_expects_it(template: np.ndarray, side: int) -> None:
    turn = np.array([[2.9, -1.2], [1.2, 2.9]])
    points = template @ turn.T + np.array([120.0, 40.0])
    picture = np.zeros((900, 900, 3), np.uint8)
    for x, y in points:
        cv2.circle(picture, (round(x), round(y)), 10, (255, 255, 255), -1)
    face = align_face(picture, points, template, side)
    for x, y in template:
        spot = face[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2]
        assert spot.min() > 200
    assert face[5:25, 5:25].max() == 0


def test_points_in_one_place_are_refused() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    for points in (np.full((5, 2), 30.0), np.full((5, 2), np.nan)):
        with pytest.raises(PointsError, match="five separate points"):
            load_face_embedder("dlib").embed(picture, points)


def test_a_pack_with_a_recognition_model_goes_before_dlib(tmp_path: Path) -> None:
    file = write_recogniser(tmp_path / "insightface/models/buffalo_s")
    (file.parent / "det.onnx").write_bytes(b"no model at all")
    embedder = load_face_embedder(weights=tmp_path)
    assert embedder.name == "arcface/buffalo_s/w600k_made_up"
    assert embedder.size == 48 and embedder.weights == (file,)
    picture = np.zeros((112, 112, 3), np.uint8)
    picture[..., 2] = 255  # red, BGR
    vector = embedder.embed(picture, ARCFACE_POINTS)
    assert vector.reshape(3, 16).mean(axis=1) == pytest.approx([1, -1, -1], abs=0.05), "RGB, -1..1"


@pytest.mark.assets
def test_a_pack_without_a_recognition_model_is_not_taken(assets: Path) -> None:
    models = assets / "models"
    assert find_arcface("scrfd_500m", models) is None
    assert load_face_embedder(weights=models).name == "dlib/resnet-v1"
    with pytest.raises(FaceModelError, match="scrfd_500m"):
        load_face_embedder("arcface", "scrfd_500m", models)
