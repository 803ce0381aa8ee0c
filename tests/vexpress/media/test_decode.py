"""A damaged file gives the same pictures, and the same damage, every time."""

import hashlib
import itertools
import os
from pathlib import Path

import pytest

from tests.helpers.odd_videos import number_of, write
from vexpress.media.decode import decode
from vexpress.media.formats import open_media, video_streams

FRAMES = 100


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with a damaged picture and a cut-off end; a key frame every 25 frames."""
    path = tmp_path_factory.mktemp("damaged") / "v.mkv"
    options = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "x264-params": "mbtree=0"}
    data = bytearray(write(path, range(FRAMES), options=options).read_bytes())
    with open_media(path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    largest = max(packets[30:45], key=len)
    place = data.index(largest)
    data[place + 12 : place + len(largest)] = b"\xff" * (len(largest) - 12)
    path.write_bytes(data[: data.index(packets[90]) + len(packets[90]) // 2])
    return path


def seen(path: Path) -> list[tuple[int, str] | None]:
    """Number and hash of each frame, None for a damaged one."""
    found: list[tuple[int, str] | None] = []
    with open_media(path) as container:
        for frame in decode(container, video_streams(container)[0]):
            if frame is None:
                found.append(None)
                continue
            grey = frame.to_ndarray(format="gray")
            found.append((number_of(grey), hashlib.sha256(grey.tobytes()).hexdigest()))
    return found


def test_fifty_decodes_on_any_number_of_cores_are_one(damaged: Path) -> None:
    first = seen(damaged)
    cores = os.sched_getaffinity(0)
    try:
        for count in range(49):
            os.sched_setaffinity(0, cores if count % 2 else {min(cores)})
            assert seen(damaged) == first
    finally:
        os.sched_setaffinity(0, cores)


def test_after_damage_pictures_go_on_with_the_next_key_frame(damaged: Path) -> None:
    found = seen(damaged)
    numbers = [item[0] for item in found if item]
    holes = [(a, b) for a, b in itertools.pairwise(numbers) if b != a + 1]
    assert found.count(None) >= 1
    holes = [hole for hole in holes if hole[1] < 85]  # the rest is where it is cut off
    assert len(holes) == 1 and holes[0][1] % 25 == 0, "what follows damage shows what was lost"
    assert numbers[0] == 0 and numbers[-1] > 80
