"""Vectors in groups by average linkage of squared distances.

Every vector is compared with every other, by matrix products in pieces of `CELLS`, so that
time grows with the pairs and memory does not. Groups are made inside what hangs together: by
scipy, or, where that is too much for a table, in rounds. benchmarks/README.md has figures.
"""

from dataclasses import dataclass

import numpy as np

CELLS = 1 << 23
"""Distances that are in memory at once."""
LARGEST = 2048
"""Vectors that hang together up to which scipy groups them."""


def group_vectors(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the group, int (N,), of each vector (N, size).

    Average linkage of squared distances: groups are joined while the root mean square
    distance between their members is at most `limit`. Then some pair of them is not farther
    either, so that it is enough to look inside what hangs together by such pairs.
    """
    parts = hanging_together(vectors, limit)
    order = np.argsort(parts, kind="stable")
    groups, used = np.zeros(len(vectors), np.int64), 0
    for inside in np.split(order, np.flatnonzero(np.diff(parts[order])) + 1):
        link = by_table if len(inside) <= LARGEST else by_rounds
        groups[inside] = used + link(vectors[inside], limit)
        used = int(groups[inside].max()) + 1
    return groups


def hanging_together(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the part, int (N,), of each vector: chains of pairs not farther than `limit`."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count, first = len(vectors), 0
    squares = (vectors**2).sum(axis=1)
    parts = np.arange(count)
    while first < count:
        block = slice(first, first + max(1, CELLS // (count - first)))
        apart = vectors[block] @ (-2 * vectors[first:].T)
        apart += squares[block, None]
        apart += squares[first:]
        rows, columns = np.nonzero(apart <= limit**2)
        ends = np.concatenate([rows + first, np.arange(count)])
        others = np.concatenate([columns + first, np.unique(parts, return_index=True)[1][parts]])
        graph = coo_array((np.ones(len(ends), bool), (ends, others)), shape=(count, count))
        parts = connected_components(graph, directed=False)[1]
        first = block.stop
    return parts


def by_table(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the group, int (N,), of each vector by scipy's average linkage."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    if len(vectors) == 1:
        return np.zeros(1, np.int64)
    joined = linkage(pdist(vectors, "sqeuclidean"), "average")
    return np.asarray(fcluster(joined, limit**2, "distance") - 1)


@dataclass(frozen=True)
class Groups:
    """Groups of vectors, each as its mean."""

    centres: np.ndarray
    """float32 (N, size)."""
    spreads: np.ndarray
    """float32 (N,): mean squared distance of the members from the centre."""
    sizes: np.ndarray
    """int (N,)."""

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Make groups `one` (P,) the unions of `one` and `other` (P,)."""
        share = (self.sizes[other] / (self.sizes[one] + self.sizes[other])).astype(np.float32)
        between = self.centres[other] - self.centres[one]
        self.centres[one] += share[:, None] * between
        self.spreads[one] += share * (self.spreads[other] - self.spreads[one])
        self.spreads[one] += share * (1 - share) * (between**2).sum(axis=1)
        self.sizes[one] += self.sizes[other]


def by_rounds(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the same groups without a table of all distances.

    Groups do not depend on the order in which pairs that are each other's nearest are joined
    (Müllner, arXiv:1109.2378, on reducible distances). So all such pairs are joined in one
    round, and only groups that were joined, or lost their nearest, are compared again.
    """
    points, number = np.unique(vectors, axis=0, return_inverse=True)
    groups = Groups(points, np.zeros(len(points), np.float32), np.bincount(number))
    into = np.arange(len(points))
    near, apart = into.copy(), np.zeros(len(points), np.float32)
    changed = np.ones(len(points), bool)
    within = changed.copy()
    while changed.any():
        rows = np.flatnonzero(changed)
        near[rows], apart[rows] = nearest(groups, rows, np.flatnonzero(within))
        within[rows] = apart[rows] <= limit**2
        one = mutual(near, apart, within)
        other = near[one]
        groups.join(one, other)
        into[other] = one
        within[other] = False
        gone = np.zeros(len(points), bool)
        gone[one] = gone[other] = True
        changed = within & (gone | gone[near])
    return np.unique(_ends(into), return_inverse=True)[1][number]


def nearest(groups: Groups, rows: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each of the groups `rows` (R,) the nearest other of `among` (A,), and the mean
    squared distance of their members, which is that of the centres and both spreads."""
    near, apart = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    others = -2 * groups.centres[among].T
    own = (groups.centres**2).sum(axis=1) + groups.spreads
    step = max(1, CELLS // len(among))
    for first in range(0, len(rows), step):
        part = rows[first : first + step]
        table = groups.centres[part] @ others
        table += own[among]
        at = np.arange(len(part))
        table[at, np.searchsorted(among, part)] = np.inf
        best = table.argmin(axis=1)
        near[first : first + step] = among[best]
        apart[first : first + step] = table[at, best] + own[part]
    return near, apart


def mutual(near: np.ndarray, apart: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Return the lower number of each pair of groups that are each other's nearest."""
    numbers = np.arange(len(near))
    pairs = np.flatnonzero(within & (near[near] == numbers) & (numbers < near))
    if not len(pairs) and within.any():  # rounding: three are equally far from each other
        closest = np.where(within, apart, np.inf).argmin()
        pairs = np.array([closest])
    return pairs


def _ends(into: np.ndarray) -> np.ndarray:
    """Return where each number ends that goes on to `into` (N,) of it."""
    while not np.array_equal(into, into[into]):
        into = into[into]
    return into


def means(vectors: np.ndarray, number: np.ndarray, count: int) -> np.ndarray:
    """Return the mean (count, size) of the vectors (N, size) of each number (N,)."""
    sums = np.zeros((count, vectors.shape[1]), np.float64)
    np.add.at(sums, number, vectors)
    return (sums / np.bincount(number, minlength=count)[:, None]).astype(np.float32)
