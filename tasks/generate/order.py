"""In which order requests are made.

Requests with one portrait lie together in runs, so that a worker reads, checks and encodes
the portrait once a run. Runs are dealt round the portraits in the order of the table, so that
nobody waits for all of somebody else's; of one portrait the longest come first, so that
what is left at the end is short and no worker idles for long.
"""

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest

from vexpress.inference.windows import frames_for
from vexpress.tasks.generate.requests import PlannedVideo

RUN = 8
"""Most requests of one portrait in a row."""


def cost(planned: PlannedVideo) -> float:
    """Return what a video costs, in pixels denoised: frames x pixels x passes."""
    asked = planned.parameters
    passes = asked.steps * (1 + asked.guidance_share * (asked.guidance > 1))
    frames = frames_for(planned.sound_s, asked.fps)
    return float(frames * asked.width * asked.height * passes)


def in_runs(planned: list[PlannedVideo], workers: int) -> list[list[PlannedVideo]]:
    """Return all requests as runs of one portrait each, in the order to make them."""
    portraits: dict[str, list[PlannedVideo]] = {}
    for one in planned:
        portraits.setdefault(one.portrait_key, []).append(one)
    # Few portraits: shorter runs, so that all workers have some.
    size = max(1, min(RUN, len(planned) // (4 * workers)))
    dealt = [list(_cut(sorted(p, key=_longest_first), size)) for p in portraits.values()]
    return [run for turn in zip_longest(*dealt) for run in turn if run]


def _longest_first(planned: PlannedVideo) -> tuple[float, str]:
    return -cost(planned), planned.request_id


def _cut(items: Iterable[PlannedVideo], size: int) -> Iterator[list[PlannedVideo]]:
    rest = iter(items)
    while run := list(islice(rest, size)):
        yield run


def in_shards(
    runs: list[list[PlannedVideo]], size: int, most: int = 50
) -> list[list[list[PlannedVideo]]]:
    """Return the runs in shards of about `size` requests, at most about `most` of them."""
    size = max(size, -(-sum(map(len, runs)) // most))
    shards: list[list[list[PlannedVideo]]] = []
    held = size
    for run in runs:
        if held >= size:
            shards.append([])
            held = 0
        shards[-1].append(run)
        held += len(run)
    return shards
