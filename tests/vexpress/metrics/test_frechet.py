"""The Fréchet distance against its closed form, and networks by path."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vexpress.errors import CheckpointError
from vexpress.metrics.feature_network import FeatureNetwork, find_network
from vexpress.metrics.frechet import FeatureStatistics, frechet_distance


class MeanColour(torch.nn.Module):
    """As the published networks are called; features are the mean colour."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features
        return x.float().mean((2, 3))


class MeanOverTime(torch.nn.Module):
    """As I3D is called."""

    def forward(
        self,
        x: torch.Tensor,
        rescale: bool = False,
        resize: bool = False,
        return_features: bool = False,
    ) -> torch.Tensor:
        assert rescale and resize and return_features
        return x.mean((3, 4)).flatten(1)


def statistics(vectors: np.ndarray, batch: int = 7) -> FeatureStatistics:
    found = FeatureStatistics()
    for start in range(0, len(vectors), batch):
        found.add(vectors[start : start + batch])
    return found


def test_batches_give_the_mean_and_covariance_of_the_whole() -> None:
    vectors = np.random.default_rng(0).normal(1e4, 1, (101, 5))
    found = statistics(vectors)
    assert found.mean == pytest.approx(vectors.mean(axis=0), rel=1e-12)
    assert found.covariance == pytest.approx(np.cov(vectors, rowvar=False), abs=1e-9)


def test_a_set_is_no_distance_from_itself_and_the_shift_squared_from_its_shift() -> None:
    vectors = np.random.default_rng(1).normal(size=(200, 8))
    here = statistics(vectors)
    assert frechet_distance(here, here) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(here, statistics(vectors + 3)) == pytest.approx(9 * 8, rel=1e-9)
    scaled = statistics(vectors * 2)  # (2 s - s)² summed over the axes of the covariance
    expected = np.trace(here.covariance) + here.mean @ here.mean
    assert frechet_distance(here, scaled) == pytest.approx(expected, rel=1e-9)


def test_fewer_vectors_than_dimensions_give_a_number_too() -> None:
    random = np.random.default_rng(2)
    first, second = statistics(random.normal(size=(5, 64))), statistics(random.normal(size=(6, 64)))
    assert np.isfinite(frechet_distance(first, second))
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))
    with pytest.raises(ValueError, match="two vectors"):
        frechet_distance(first, statistics(random.normal(size=(1, 64))))


def test_networks_are_called_as_their_publishers_do(tmp_path: Path) -> None:
    torch.jit.script(MeanColour()).save(str(tmp_path / "inception-2015-12-05.pt"))
    torch.jit.script(MeanOverTime()).save(str(tmp_path / "i3d.pt"))
    file = find_network(tmp_path, "inception-2015-12-05.pt")
    assert file is not None
    blue = np.zeros((8, 8, 3), np.uint8)
    blue[..., 0] = 200  # BGR
    assert FeatureNetwork(file).of_pictures([blue, blue]).tolist() == [[0, 0, 200]] * 2
    video = FeatureNetwork(tmp_path / "i3d.pt").of_video([blue] * 16)
    assert video.shape == (1, 3 * 16) and video[0, -1] == 200


def test_a_file_that_is_no_network_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"not a network")
    with pytest.raises(CheckpointError, match=r"x\.pt: expected a TorchScript file"):
        FeatureNetwork(tmp_path / "x.pt")
    assert find_network(tmp_path, "y.pt") is None and find_network(None, "x.pt") is None
