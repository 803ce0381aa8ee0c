"""SyncNet loads by its published keys and computes what is published, on made-up weights."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.syncnet_weights import made_up
from vexpress.errors import CheckpointError
from vexpress.sync.estimate import estimate_from, find_syncnet
from vexpress.sync.mfcc import mfcc
from vexpress.sync.syncnet import (
    SyncNet,
    distances,
    estimate_sync,
    face_crop,
    load_syncnet,
)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with made-up weights at the place of the published ones."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "syncnet").mkdir()
    torch.save(made_up(), folder / "syncnet/syncnet_v2.model")
    return folder


@pytest.fixture(scope="session")
def network(weights: Path) -> SyncNet:
    found = find_syncnet(weights)
    assert found
    return load_syncnet(found)


def faces(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (224, 224, 3), np.uint8) for _ in range(count)]


def test_weights_go_where_their_names_say(network: SyncNet) -> None:
    loaded, wanted = network.state_dict(), made_up()
    assert {k for k in loaded if not k.endswith("num_batches_tracked")} == set(wanted)
    assert all(torch.equal(loaded[key], value) for key, value in wanted.items())
    assert not network.training


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    state = made_up()
    state["netfclip.4.weight"] = state.pop("netfclip.3.weight")
    torch.save(state, tmp_path / "wrong.model")
    with pytest.raises(CheckpointError, match=r"missing: netfclip.3.weight.*netfclip.4.weight"):
        load_syncnet(tmp_path / "wrong.model")


def test_a_pickle_that_wants_to_run_something_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "touched",))

    (tmp_path / "evil.model").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="nothing of it was run"):
        load_syncnet(tmp_path / "evil.model")
    assert not (tmp_path / "touched").exists()


def test_distances_are_those_of_windows_seen_one_by_one(network: SyncNet) -> None:
    pictures, count = faces(26), 21
    sound = 0.1 * np.random.default_rng(1).standard_normal(26 * 640).astype(np.float32)
    rows = torch.from_numpy(mfcc(np.round(sound * 32767))).float()
    frames = torch.from_numpy(np.stack(pictures)).float().permute(3, 0, 1, 2)
    with torch.inference_mode():
        seen = torch.cat([network.see(frames[:, i : i + 5]) for i in range(count)])
        heard = torch.cat([network.hear(rows[None, 4 * i : 4 * i + 20]) for i in range(count)])
    wanted = []
    for lag in range(-15, 16):
        total = 0.0
        for i in range(count):
            other = heard[i + lag] if 0 <= i + lag < count else torch.zeros(1024)
            total += float(torch.linalg.vector_norm(seen[i] - other + 1e-6))
        wanted.append(total / count)
    estimate = estimate_sync(network, pictures, sound)
    best = int(np.argmin(wanted))
    assert estimate.offset_frames == best - 15
    assert estimate.confidence == pytest.approx(np.median(wanted) - wanted[best], abs=1e-3)
    np.testing.assert_allclose(distances(network, seen, sound), wanted, rtol=1e-4)


def test_least_distance_at_later_sound_is_late_sound() -> None:
    curve = np.full(31, 12.0, np.float32)
    curve[15 + 4] = 7
    estimate = estimate_from(curve)
    assert (estimate.offset_frames, estimate.confidence) == (4, 5)
    assert estimate_from(np.zeros(0, np.float32)).offset_frames is None


def test_a_clip_of_a_moment_has_no_offset(network: SyncNet) -> None:
    assert estimate_sync(network, faces(4), np.zeros(4 * 640)).offset_frames is None


def test_mfcc_are_those_of_python_speech_features() -> None:
    ticks = np.arange(1200)
    chirp = np.round(8000 * np.sin(2 * np.pi * ticks * (200 + ticks / 2) / 16000))
    found = mfcc(chirp)
    assert found.shape == (6, 13)
    told = [20.4375, 18.6009, -20.482, -39.4881, -21.4847, 13.1133, 30.302, 16.8252, -6.4969]
    told += [-16.4365, -8.4014, 2.0532, 4.5424]
    np.testing.assert_allclose(found[3], told, atol=1e-4)
    assert mfcc(np.zeros(300)).shape == (1, 13)


def test_the_face_fills_its_crop() -> None:
    image = np.zeros((400, 400, 3), np.uint8)
    points = np.array([[160, 160], [240, 160], [200, 200], [165, 240], [235, 240]], np.float32)
    for x, y in points.astype(int):
        image[y - 3 : y + 4, x - 3 : x + 4] = 255
    crop = face_crop(image, points)
    assert crop.shape == (224, 224, 3)
    rows, columns = np.nonzero(crop[..., 0] > 128)
    assert columns.mean() == pytest.approx(112, abs=3)
    assert rows.max() < 224 * 0.65, "room below the mouth"
    scale = 224 / (1.4 * 2.99 * 80)
    assert np.ptp(columns) == pytest.approx(86 * scale, abs=3)
    assert (face_crop(image[:, :150], points - [100, 0])[:, :20] == 110).all()
