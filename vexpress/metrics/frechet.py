"""The Fréchet distance between two sets of feature vectors: FID (arXiv:1706.08500) of
pictures, FVD (arXiv:1812.01717) of videos.

Means and covariances are added up as features come, so memory does not grow with them. With
few vectors the distance is too large: compare sets of equal size only.
"""

import numpy as np
from scipy.linalg import eigh


class FeatureStatistics:
    """Mean and covariance of feature vectors, updated batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray = np.zeros(0)
        self._scatter: np.ndarray = np.zeros((0, 0))

    def add(self, features: np.ndarray) -> None:
        """Add float (N, D)."""
        batch = features.astype(np.float64)
        if not len(batch):
            return
        mean = batch.mean(axis=0)
        scatter = (batch - mean).T @ (batch - mean)
        if not self.count:
            self._mean, self._scatter = mean, scatter
        else:  # Chan et al. 1979: stable where sums of squares are not
            apart, together = mean - self._mean, self.count + len(batch)
            weight = self.count * len(batch) / together
            self._scatter = self._scatter + scatter + np.outer(apart, apart) * weight
            self._mean = self._mean + apart * len(batch) / together
        self.count += len(batch)

    @property
    def mean(self) -> np.ndarray:
        """Mean, float64 (D,)."""
        return self._mean

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance, float64 (D, D)."""
        return self._scatter / max(self.count - 1, 1)


def frechet_distance(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Return |m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½).

    The root's trace is that of (R C2 R)^½ with R = C1^½, which is symmetric: no complex
    numbers where covariances are singular. Raises ValueError for fewer than two vectors.
    """
    if min(first.count, second.count) < 2:
        raise ValueError(f"expected two vectors or more, found {first.count} and {second.count}")
    apart = first.mean - second.mean
    values, vectors = eigh(first.covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    mixed = eigh(root @ second.covariance @ root, eigvals_only=True)
    trace = np.trace(first.covariance) + np.trace(second.covariance)
    return float(max(apart @ apart + trace - 2 * np.sqrt(mixed.clip(min=0)).sum(), 0.0))
