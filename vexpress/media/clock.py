"""A container's clock that jumps: joined recordings, a recorder that was started again.

`read_clock` finds the jumps in the packets' time stamps; `straighten` copies the packets into
a temporary file whose clock goes on where it jumped. Each stretch of pictures has the sound
that was recorded with it as a sound stream of its own, so that no sound runs into another.
"""

import bisect
import io
import itertools
import math
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from tempfile import TemporaryFile
from typing import IO, Any

import av
import numpy as np

from vexpress.errors import InputError

BACK_S = 0.1
"""A clock that goes back by more than this jumps, seconds."""
AHEAD_S = 1.0
"""So does one that goes ahead by more than this, if the sound does not play on meanwhile."""
SILENT_AHEAD_S = 10.0
"""The same without sound, where the container is a stream that may be cut (FFmpeg's own limit)."""
SOUND_BACK_S = 0.5
"""By how much the clock of the sound alone may go back: a resampler mends less, seconds."""
APART_S = 3.0
"""How far sound may begin before, or end after, the pictures recorded with it, seconds."""
STRAY_S = 0.3
"""Sound that belongs to no stretch of pictures is left out where it is as short as this."""
JOINT = 3
"""Packets before a jump that may be marked as corrupt only because counters jump too."""
MAY_JUMP = 0x0200
"""AVFMT_TS_DISCONT: the container's format allows time stamps that jump."""


class ClockError(InputError):
    """The clock jumps in a way that leaves open which sound belongs to which picture."""


class Stamps:
    """Time stamps of one stream's packets in the order of the file, seconds."""

    def __init__(self) -> None:
        self.numbers = array("q")
        """Which packet of the file, of both streams."""
        self.dts, self.pts, self.ends = array("d"), array("d"), array("d")

    def add(self, number: int, packet: Any) -> None:
        """Note a packet; the first of a Matroska file and all of some others have no dts."""
        unit = float(packet.time_base)
        stamp = math.nan if packet.dts is None else packet.dts
        self.numbers.append(number)
        self.dts.append(stamp * unit)
        self.pts.append((math.nan if packet.pts is None else packet.pts) * unit)
        self.ends.append((stamp + (packet.duration or 0)) * unit)


@dataclass(frozen=True)
class Run:
    """Packets of one stream between two jumps."""

    first: int
    end: int
    """Places in `Stamps`."""


@dataclass(frozen=True)
class Clock:
    """How to straighten a file: what to add to the time stamps of each packet."""

    jumps: int = 0
    starts: list[float] = field(default_factory=list)
    """Where each stretch but the first begins, seconds from the first frame."""
    sound: int | None = None
    pictures: list[tuple[int, float]] = field(default_factory=list)
    """First packet (of both streams) and seconds to add, stretch by stretch."""
    lasts: list[int] = field(default_factory=list)
    """Last `JOINT` packets of the pictures of each stretch."""
    sounds: list[tuple[int, int | None]] = field(default_factory=list)
    """First packet and stretch of each run of sound; None: it belongs to no picture."""

    def shown(self, pictures: Stamps) -> list[float]:
        """Return the times at which pictures are shown, in order, on the clock that goes on."""
        pts = np.array(pictures.pts)
        for first, shift in self.pictures[1:]:
            begin = bisect.bisect_left(pictures.numbers, first)
            pts[begin:] = np.array(pictures.pts)[begin:] + shift
        return np.sort(pts[np.isfinite(pts)]).tolist()

    def stretch(self, seconds: float) -> int:
        """Return which stretch is shown `seconds` after the first frame."""
        return bisect.bisect_right(self.starts, seconds)


def read_stamps(container: Any, video: Any, sound: Any | None) -> tuple[Stamps, Stamps]:
    """Return the stamps of the packets of pictures and sound that are shown and heard."""
    pictures, sounds = Stamps(), Stamps()
    streams = [video] if sound is None else [video, sound]
    number = 0
    for packet in container.demux(streams):
        if not packet.size or packet.is_discard:
            continue
        if packet.stream_index == video.index:
            pictures.add(number, packet)
        else:
            sounds.add(number, packet)
        number += 1
    return pictures, sounds


def read_clock(pictures: Stamps, sounds: Stamps, *, may_jump: bool, sound: int | None) -> Clock:
    """Return the jumps of a file. Raises ClockError where the sound cannot be told to belong
    to the pictures.

    `may_jump`: whether the container's format has `MAY_JUMP`; `sound`: the track's number.
    """
    runs = list(_picture_runs(pictures, sounds, may_jump))
    if len(runs) == 1:
        _require_straight(sounds)
        return Clock()
    ends, shifts, starts = [0.0], list[float](), list[float]()
    pts = np.array(pictures.pts)
    gaps = np.concatenate([np.diff(np.sort(pts[run.first : run.end])) for run in runs])
    step = float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else 0.04
    for run in runs:
        own = pts[run.first : run.end]
        first, last = float(np.nanmin(own)), float(np.nanmax(own))
        shift = ends[-1] - first if starts else 0.0
        shifts.append(shift)
        starts.append(first + shift)
        ends.append(last + step + shift)
    numbers = [pictures.numbers[run.first] for run in runs]
    return Clock(
        jumps=len(runs) - 1,
        starts=[start - starts[0] for start in starts[1:]],
        sound=sound,
        pictures=list(zip(numbers, shifts, strict=True)),
        lasts=[n for run in runs for n in pictures.numbers[max(run.end - JOINT, 0) : run.end]],
        sounds=list(_sound_stretches(sounds, pictures, runs)),
    )


def _breaks(stamps: Stamps) -> Iterator[tuple[int, float, float]]:
    """Yield the place of each packet whose clock jumps, the time before and its own."""
    dts, ends = np.array(stamps.dts), np.array(stamps.ends)
    known = np.flatnonzero(np.isfinite(dts))
    dts, ends = dts[known], ends[known]
    before, after = np.maximum(ends, dts)[:-1], dts[1:]
    for place in np.flatnonzero((after < dts[:-1] - BACK_S) | (after > before + AHEAD_S)):
        yield int(known[place + 1]), float(before[place]), float(after[place])


def _runs(stamps: Stamps, places: list[int]) -> list[Run]:
    return [Run(a, b) for a, b in itertools.pairwise([0, *places, len(stamps.dts)]) if b > a]


def _picture_runs(pictures: Stamps, sounds: Stamps, may_jump: bool) -> list[Run]:
    heard = np.array(sounds.dts)
    heard = heard[np.isfinite(heard)]
    places = []
    for place, before, after in _breaks(pictures):
        if after < before - BACK_S:
            places.append(place)
        elif len(heard) and heard.max() > before + AHEAD_S:
            # Sound that plays on: one picture is shown for long.
            inside = (heard > before + AHEAD_S / 2) & (heard < after - AHEAD_S / 2)
            if not inside.any():
                places.append(place)
        elif may_jump and after > before + SILENT_AHEAD_S:
            places.append(place)
    return _runs(pictures, places) or [Run(0, 0)]


def _require_straight(sounds: Stamps) -> None:
    for _, before, after in _breaks(sounds):
        if after < before - SOUND_BACK_S:
            raise ClockError(
                f"the sound's clock jumps back from {before:.2f} s to {after:.2f} s, and the "
                "picture's does not"
            )


def _sound_stretches(
    sounds: Stamps, pictures: Stamps, runs: list[Run]
) -> Iterator[tuple[int, int | None]]:
    """Yield the first packet of each run of sound, and the stretch of pictures it belongs to."""
    begins, pts = [pictures.numbers[run.first] for run in runs], np.array(pictures.pts)
    for run in _runs(sounds, [place for place, _, _ in _breaks(sounds)]):
        number = sounds.numbers[run.first]
        middle = sounds.numbers[(run.first + run.end) // 2]
        stretch = max(int(np.searchsorted(begins, middle, side="right")) - 1, 0)
        own = runs[stretch]
        first, last = np.nanmin(pts[own.first : own.end]), np.nanmax(pts[own.first : own.end])
        begin, end = sounds.pts[run.first], sounds.pts[run.end - 1]
        if begin > first - APART_S and end < last + APART_S:
            yield number, stretch
        elif end - begin < STRAY_S:
            yield number, None
        else:
            raise ClockError(
                f"the clock jumps {len(runs) - 1} times, and sound of {begin:.2f} to {end:.2f} s "
                f"lies beside pictures of {first:.2f} to {last:.2f} s"
            )


def straighten(container: Any, video: Any, clock: Clock) -> IO[bytes]:
    """Return a temporary file, already without a name, with the same packets on a clock that
    goes on: stream 0 the pictures, then the sound of each stretch.

    Raises ClockError where such a copy cannot be made.
    """
    sound = None if clock.sound is None else container.streams.audio[clock.sound]
    file = TemporaryFile()  # noqa: SIM115 - it is the answer
    try:
        with av.open(file, "w", format="nut", options={"fflags": "+bitexact"}) as target:
            pictures = target.add_stream_from_template(video)
            sounds = [
                target.add_stream_from_template(sound) for _ in clock.pictures if sound is not None
            ]
            for packet, stretch in _shifted(container, video, sound, clock):
                is_picture = packet.stream_index == video.index
                packet.stream = pictures if is_picture else sounds[stretch]
                target.mux(packet)
        file.flush()
    except (av.FFmpegError, ValueError) as error:
        file.close()
        raise ClockError(f"the clock jumps, and the file cannot be mended: {error}") from error
    return file


def _shifted(
    container: Any, video: Any, sound: Any | None, clock: Clock
) -> Iterator[tuple[Any, int]]:
    """Yield each packet with its new time stamps, and its stretch."""
    picture_runs = [(first, stretch) for stretch, (first, _) in enumerate(clock.pictures)]
    lasts = set(clock.lasts)
    latest: dict[tuple[int, int], int] = {}
    number = -1
    for packet in container.demux([s for s in (video, sound) if s is not None]):
        if not packet.size or packet.is_discard:
            continue
        number += 1
        is_picture = packet.stream_index == video.index
        stretch = _stretch_of(number, picture_runs if is_picture else clock.sounds)
        if stretch is None or packet.dts is None:
            continue
        if is_picture and packet.is_corrupt and number not in lasts:
            packet.update(bytes(packet.size))  # the copy cannot be marked; this does not decode
        ticks = round(clock.pictures[stretch][1] / float(packet.time_base))
        which = packet.stream_index, 0 if is_picture else stretch
        dts = max(packet.dts + ticks, latest.get(which, packet.dts + ticks - 1) + 1)
        shown = dts if packet.pts is None else max(packet.pts + ticks, dts)
        latest[which], packet.dts, packet.pts = dts, dts, shown
        yield packet, stretch


def _stretch_of(number: int, runs: Sequence[tuple[int, int | None]]) -> int | None:
    place = bisect.bisect_right([first for first, _ in runs], number) - 1
    return runs[place][1] if place >= 0 else None


class Window(io.RawIOBase):
    """A file of its own to read, of an open file without a name; several can be read at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file  # which is gone when nobody holds it any more
        self._place = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from where reading is."""
        data = os.pread(self._file.fileno(), len(buffer), self._place)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go on reading from elsewhere."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place}
        if whence in base:
            self._place = base[whence] + offset
        else:
            self._place = os.fstat(self._file.fileno()).st_size + offset
        return self._place

    def tell(self) -> int:
        """Where reading is."""
        return self._place
