"""FID and FVD: all videos of one set of weights against real ones, the data set's kept clips.

Needs the published feature networks (`vexpress/metrics/feature_network.py`) under the
weights. Features are added up as they come: memory does not grow with the videos.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import Field

from vexpress.media.video import read_frames
from vexpress.metrics.feature_network import I3D, INCEPTION, WINDOW, FeatureNetwork, find_network
from vexpress.metrics.frechet import FeatureStatistics, frechet_distance
from vexpress.metrics.table import METRICS, Measured, measured, unmeasured
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.row import Model
from vexpress.tasks.engine.component import make_key
from vexpress.tasks.engine.weights import file_digest
from vexpress.tasks.evaluate.measure import evaluation_row

FILES = {"fid": INCEPTION, "fvd": I3D}


class SetConfig(Model):
    """Which pictures and videos the sets are made of."""

    most_videos: int = Field(2048, ge=2)
    """Most videos of either set, evenly chosen; FVD is published for 2048."""
    picture_every: int = Field(10, ge=1)
    """Every n-th frame is a picture of FID."""
    side_px: int = Field(256, ge=64)
    """Side at which both sets are read, pixels; the networks scale from there."""


@dataclass(frozen=True)
class VideoSet:
    """Videos of one set of weights, and the real ones: paths relative to the data set."""

    weights: str
    weights_sha256: str
    made: tuple[str, ...]
    real: tuple[str, ...]

    def key(self, metric: str, config: SetConfig, network: Path | None) -> str:
        """Return a hash of all that the number depends on."""
        digest = file_digest([network]) if network else ""
        version = METRICS[metric].version
        return make_key(
            metric, version, config.model_dump_json(), digest, *self.made, "", *self.real
        )


class SetMeasurer:
    """Measures sets; features of the real ones are computed once for all."""

    def __init__(
        self, dataset: Dataset, config: SetConfig, weights: Path | None, gpu: bool
    ) -> None:
        self.dataset, self.config = dataset, config
        self.networks = {metric: find_network(weights, name) for metric, name in FILES.items()}
        self._gpu = gpu
        self._real: dict[tuple[str, tuple[str, ...]], FeatureStatistics] = {}

    def evaluate(self, videos: VideoSet, known: set[str]) -> Iterator[Evaluation]:
        """Yield a row for each number that is not among the `known` keys."""
        for metric in FILES:
            key = videos.key(metric, self.config, self.networks[metric])
            if key not in known:
                row = evaluation_row(self._measure(metric, videos), key)
                weights = {"weights": videos.weights, "weights_sha256": videos.weights_sha256}
                yield row.model_copy(update=weights)

    def _measure(self, metric: str, videos: VideoSet) -> Measured:
        file = self.networks[metric]
        if file is None:
            text = f"expected {FILES[metric]} under the weights, found none"
            return unmeasured((metric,), "no_model", text)[0]
        if min(len(videos.made), len(videos.real)) < 2:
            text = f"expected 2 videos or more, found {len(videos.made)} made, "
            return unmeasured((metric,), "too_few", f"{text}{len(videos.real)} real")[0]
        made = self._features(metric, videos.made)
        if (metric, videos.real) not in self._real:
            self._real[metric, videos.real] = self._features(metric, videos.real)
        real = self._real[metric, videos.real]
        if min(made.count, real.count) < 2:
            return unmeasured((metric,), "too_short", f"expected {WINDOW} frames a video")[0]
        by = f"{file.stem} ({real.count} real)"
        return measured(metric, frechet_distance(made, real), by, made.count)

    def _features(self, metric: str, names: Iterable[str]) -> FeatureStatistics:
        statistics = FeatureStatistics()
        for name in names:
            if not self.dataset.exists(name):
                continue
            with self.dataset.local_copy(name) as path:
                for features in self._of_video(metric, path):
                    statistics.add(features)
        return statistics

    def _of_video(self, metric: str, path: Path) -> Iterator[np.ndarray]:
        side, waiting = self.config.side_px, []
        size, step = (8, self.config.picture_every) if metric == "fid" else (WINDOW, 1)
        for number, (_, picture) in enumerate(read_frames(path, side, side)):
            if number % step == 0:
                waiting.append(picture)
            if len(waiting) == size:
                yield self._ask(metric, waiting)
                waiting = []
        if waiting and metric == "fid":
            yield self._ask(metric, waiting)

    def _ask(self, metric: str, pictures: list[np.ndarray]) -> np.ndarray:
        network = self._inception if metric == "fid" else self._i3d
        return network.of_pictures(pictures) if metric == "fid" else network.of_video(pictures)

    @cached_property
    def _inception(self) -> FeatureNetwork:
        return self._open("fid")

    @cached_property
    def _i3d(self) -> FeatureNetwork:
        return self._open("fvd")

    def _open(self, metric: str) -> FeatureNetwork:
        file = self.networks[metric]
        assert file is not None
        return FeatureNetwork(file, "cuda" if self._gpu else "cpu")
