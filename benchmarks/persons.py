"""What telling persons apart costs: seconds, and peak memory over what was there before.

    python -m benchmarks.persons --vectors 1000 10000 30000 --tracks 100 10

Made-up vectors as dlib gives them: so many `--tracks` of each person, tracks of one person 0.3
apart, two persons 0.8 ± 0.1, so that some are as near as one person's. Baseline: scipy's
`linkage` over the table of all distances, up to `--most-table` vectors. Each side runs in a
process of its own.
"""

import argparse
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from vexpress.tasks.curate.across.clustering import group_vectors

LIMIT = 0.5
DIMENSIONS = 32
"""In so many, distances of random points vary by an eighth of their mean."""


def main() -> None:
    """Print a line for each number of vectors and side."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--vectors", type=int, nargs="+", default=[1000, 10000, 30000])
    parser.add_argument("--tracks", type=int, nargs="+", default=[100, 10])
    parser.add_argument("--most-table", type=int, default=10000)
    options = parser.parse_args()
    print("vectors  persons  side     seconds  MiB   groups")
    for count, tracks in product(options.vectors, options.tracks):
        for side in ("ours", "table"):
            if side == "ours" or count <= options.most_table:
                with ProcessPoolExecutor(1, get_context("spawn")) as alone:
                    seconds, mib, found = alone.submit(measure, side, count, tracks).result()
                people = count // tracks
                print(f"{count:7}  {people:7}  {side:7} {seconds:8.1f} {mib:5.0f} {found:8}")


def measure(side: str, count: int, tracks: int) -> tuple[float, float, int]:
    """Return seconds, MiB above the start, and the number of groups."""
    vectors = made_up(count, tracks)
    group = group_vectors if side == "ours" else by_table
    group(vectors[:100], LIMIT)
    before, start = peak_mib(), time.perf_counter()
    found = len(set(group(vectors, LIMIT).tolist()))
    return time.perf_counter() - start, peak_mib() - before, found


def made_up(count: int, tracks: int) -> np.ndarray:
    """Return float32 (count, 128), `tracks` of each person."""
    random = np.random.default_rng(0)
    people = np.zeros((count // tracks, 128))
    shape = (len(people), DIMENSIONS)
    people[:, :DIMENSIONS] = random.normal(0, 0.8 / np.sqrt(2 * DIMENSIONS), shape)
    vectors = np.repeat(people, tracks, axis=0)
    return (vectors + random.normal(0, 0.3 / np.sqrt(256), vectors.shape)).astype(np.float32)


def by_table(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Return the groups by scipy, from all squared distances."""
    joined = linkage(pdist(vectors, "sqeuclidean"), "average")
    return fcluster(joined, limit**2, "distance")


def peak_mib() -> float:
    """Return the most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
