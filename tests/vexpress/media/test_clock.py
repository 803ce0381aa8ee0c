"""Recordings that were joined or started again: all pictures, each with its own sound."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.odd_videos import number_of, tone, write
from vexpress.media.clock import (
    MAY_JUMP,
    Clock,
    ClockError,
    Window,
    read_clock,
    read_stamps,
    straighten,
)
from vexpress.media.decode import decode
from vexpress.media.formats import open_media, video_streams


def clock_of(path: Path) -> Clock:
    with open_media(path) as container:
        sound = next(iter(container.streams.audio), None)
        stamps = read_stamps(container, video_streams(container)[0], sound)
        may_jump = bool(container.format.flags & MAY_JUMP)
        return read_clock(*stamps, may_jump=may_jump, sound=None if sound is None else 0)


def joined(folder: Path, offset_s: float = 0.0) -> Path:
    """Two recordings of 2 s and 3 s in one file; the second's clock begins `offset_s` later."""
    parts = []
    for name, numbers, hertz in (("a", range(50), 500), ("b", range(50, 125), 1500)):
        seconds = len(numbers) / 25
        options = {"output_ts_offset": str(offset_s)} if name == "b" else {}
        path = folder / f"{name}.ts"
        write(path, numbers, [tone(seconds, hertz=hertz)], container_options=options)
        parts.append(path.read_bytes())
    (folder / "joined.ts").write_bytes(b"".join(parts))
    return folder / "joined.ts"


@pytest.mark.parametrize("offset_s", [0.0, 3600.0, 20.0])
def test_all_pictures_go_on_where_the_clock_jumps(offset_s: float, tmp_path: Path) -> None:
    path = joined(tmp_path, offset_s)
    clock = clock_of(path)
    assert clock.jumps == 1 and clock.starts == pytest.approx([2.0], abs=0.001)
    with open_media(path) as container:
        file = straighten(container, video_streams(container)[0], clock)
    with open_media(Window(file)) as container:
        frames = [f for f in decode(container, container.streams.video[0]) if f is not None]
    assert [number_of(f.to_ndarray(format="gray")) for f in frames] == list(range(125))
    times = np.array([f.time for f in frames])
    np.testing.assert_allclose(times - times[0], np.arange(125) / 25, atol=1e-3)
    for stretch, hertz in ((0, 500), (1, 1500)):
        with open_media(Window(file)) as container:
            stream = container.streams.audio[stretch]
            sound = np.concatenate([f.to_ndarray()[0] for f in container.decode(stream)])
        spectrum = np.abs(np.fft.rfft(sound))
        assert spectrum.argmax() * 48_000 / len(sound) == pytest.approx(hertz, abs=5)
    file.close()


def test_a_straight_clock_and_a_picture_shown_for_long_are_left_alone(tmp_path: Path) -> None:
    assert clock_of(write(tmp_path / "a.ts", range(50), [tone(2.0)])).jumps == 0
    assert clock_of(write(tmp_path / "b.mkv", range(50), [tone(2.0)])).jumps == 0
    times = [*(n / 25 for n in range(50)), *(22 + n / 25 for n in range(50))]
    assert clock_of(write(tmp_path / "c.mp4", range(100), times=times)).jumps == 0
    heard = write(tmp_path / "d.mp4", range(100), [tone(24.0)], times=times)
    assert clock_of(heard).jumps == 0, "the sound plays on"


def test_sound_that_jumps_by_itself_is_told_of(tmp_path: Path) -> None:
    write(tmp_path / "a.mkv", range(100), [tone(4.0)])
    with (
        av.open(str(tmp_path / "a.mkv")) as old,
        av.open(str(tmp_path / "b.nut"), "w") as new,
    ):
        copies = {s.index: new.add_stream_from_template(s) for s in old.streams}
        last = -1
        sound: list[int] = []
        for packet in old.demux():
            if packet.dts is None:
                continue
            if packet.stream.type == "audio":
                sound.append(packet.pts)
            packet.stream = copies[packet.stream_index]
            last = max(last, packet.dts)
            new.mux(packet)
    with open_media(tmp_path / "b.nut") as container:
        stream = container.streams.audio[0]
        pictures, sounds = read_stamps(container, video_streams(container)[0], stream)
    middle = len(sounds.dts) // 2
    for place in range(middle, len(sounds.dts)):
        sounds.dts[place] -= 1.9
    with pytest.raises(ClockError, match="the sound's clock jumps back from"):
        read_clock(pictures, sounds, may_jump=True, sound=0)
