"""Which sound of a file counts, and whether its two channels cancel each other out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from vexpress.media.decode import use_one_thread
from vexpress.media.formats import open_media

HEARD_S = 300.0
"""Sound of each track that is listened to where nothing else tells which one counts, seconds."""
LOOKED_S, LOUD_S = 120.0, 10.0
"""Most sound, and most that is not silent, in which channels are compared, seconds."""
LOUD = 10 ** (-50 / 20)
"""Amplitude from which a block of sound is not silent (-50 dB)."""
INVERTED = -0.5
"""Correlation of the two channels below which one is taken to be inverted: their difference
then has three times the power of their sum."""
RATE = 16000


@dataclass(frozen=True)
class SoundTrack:
    """The sound stream that counts."""

    number: int
    """Among the file's sound streams, from 0."""
    choice: str
    """Why this one."""
    inverted: bool = False
    """Whether the right channel is turned over before channels are added."""
    language: str | None = None
    title: str | None = None


def sound_track(path: Path) -> SoundTrack | None:
    """Return the track of a file that counts, as `choose_track` does."""
    with open_media(path) as container:
        return choose_track(container)


def choose_track(container: Any, asked: int | None = None) -> SoundTrack | None:
    """Return the track `asked` for where it is there, else the only one, else the one marked
    default, else the one with most speech; None where there is no sound.

    The container is read, and may be anywhere afterwards.
    """
    streams = container.streams.audio
    if not streams:
        return None
    number, choice = _choose(container, list(streams), asked)
    stream = streams[number]
    return SoundTrack(
        number=number,
        choice=choice,
        inverted=is_inverted(container, stream),
        language=None if stream.language in (None, "und") else stream.language,
        title=stream.metadata.get("title"),
    )


def _choose(container: Any, streams: list[Any], asked: int | None) -> tuple[int, str]:
    missing = ""
    if asked is not None:
        if asked < len(streams):
            return asked, "asked for"
        missing = f"; track {asked} was asked for and is not there"
    marked = [n for n, s in enumerate(streams) if s.disposition & av.stream.Disposition.default]
    if len(streams) == 1:
        return 0, f"the only one{missing}"
    if len(marked) == 1:
        return marked[0], f"marked default{missing}"
    seconds = {n: speech_seconds(container, streams[n]) for n in marked or range(len(streams))}
    best = max(seconds, key=lambda n: seconds[n])
    return best, f"most speech ({seconds[best]:.0f} s){missing}"


def speech_seconds(container: Any, stream: Any) -> float:
    """Return how much of the first `HEARD_S` of a sound stream is speech, by Silero's detector."""
    from faster_whisper.vad import get_speech_timestamps

    inverted = is_inverted(container, stream)
    resampler = av.AudioResampler("fltp", "mono", RATE)
    sound, samples = [], 0
    container.seek(0)
    for frame in decode_sound(container, stream, inverted=inverted):
        pieces = [piece.to_ndarray()[0] for piece in resampler.resample(frame)]
        sound += pieces
        samples += sum(map(len, pieces))
        if samples > HEARD_S * RATE:
            break
    whole = np.concatenate(sound) if sound else np.zeros(0, np.float32)
    spans = get_speech_timestamps(whole) if len(whole) else []
    return float(sum(span["end"] - span["start"] for span in spans) / RATE)


def is_inverted(container: Any, stream: Any) -> bool:
    """Return whether one of two channels is the other one turned over."""
    if stream.channels != 2:
        return False
    resampler = av.AudioResampler("fltp", "stereo", RATE)
    products, loud, seen = np.zeros(3), 0.0, 0.0
    container.seek(0)
    for frame in decode_sound(container, stream):
        for piece in resampler.resample(frame):
            left, right = piece.to_ndarray()
            seconds = len(left) / RATE
            seen += seconds
            if min(np.abs(left).max(initial=0), np.abs(right).max(initial=0)) > LOUD:
                products += [left @ right, left @ left, right @ right]
                loud += seconds
        if loud > LOUD_S or seen > LOOKED_S:
            break
    both, ours, theirs = products
    return bool(loud and both < INVERTED * np.sqrt(ours * theirs))


def decode_sound(container: Any, stream: Any, *, inverted: bool = False) -> Iterator[Any]:
    """Yield what decodes of a sound stream, the right channel turned over where `inverted`."""
    use_one_thread(stream)
    planes = av.AudioResampler("fltp", "stereo") if inverted else None
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            yield from [frame] if planes is None else map(_turned, planes.resample(frame))


def _turned(frame: Any) -> Any:
    samples = frame.to_ndarray()
    samples[1] *= -1
    turned = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
    turned.sample_rate, turned.pts, turned.time_base = frame.sample_rate, frame.pts, frame.time_base
    return turned
