"""Render a script into a video file with exactly known truth."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.talking_heads import sound
from tests.talking_heads.portrait import Floats, Pixels
from tests.talking_heads.scene import Stage
from tests.talking_heads.script import Shot, VideoFormat
from tests.talking_heads.truth import (
    CutTruth,
    FrameTruth,
    SegmentTruth,
    SpeechTruth,
    Truth,
    WordTruth,
)
from tests.talking_heads.write import write_video

DEFAULT_FORMAT = VideoFormat()


@dataclass(frozen=True)
class Tick:
    """One stored frame, before it is drawn."""

    number: int
    """Its time in frame periods."""
    segment: int
    time_s: float


def render(shots: list[Shot], path: Path, form: VideoFormat = DEFAULT_FORMAT) -> Truth:
    """Write the video to `path` (mp4), its truth beside it as JSON, and return the truth.

    The same arguments give the same bytes on the same machine.
    """
    timeline = _Timeline(shots, form)
    frames: list[FrameTruth] = []
    pictures = _draw(timeline, frames)
    track = timeline.track if form.sound else None
    write_video(path, form, ((tick.number, picture) for tick, picture in pictures), track)
    truth = timeline.tell(path.name, frames)
    truth.write(path.with_suffix(".json"))
    return truth


class _Timeline:
    """When every frame, cut and sound of a script happens."""

    def __init__(self, shots: list[Shot], form: VideoFormat) -> None:
        self.shots, self.form = shots, form
        ends = np.cumsum([shot.duration_s for shot in shots])
        self.bounds = [0] + [round(float(end) * form.fps) for end in ends]
        self.starts_s = [float(bound / form.fps) for bound in self.bounds]
        self.duration_s = self.starts_s[-1]
        self.ticks = [
            Tick(number, segment, float(number / form.fps))
            for segment in range(len(shots))
            for number in range(self.bounds[segment], self.bounds[segment + 1])
            if not (form.drop_every and number % form.drop_every == form.drop_every - 1)
        ]
        self.spoken = sound.utterances(shots, self.starts_s[:-1], form.sample_rate)
        self.track = sound.mix(self.spoken, self.duration_s, form.sample_rate, form.sound_late_s)
        if form.sound_from_s:
            self.track[: round(form.sound_from_s * form.sample_rate)] = 0

    def lips(self, segment: int) -> list[list[float]]:
        """For each frame of a segment, how far each face's mouth is open, 0..1."""
        times = [tick.time_s for tick in self.ticks if tick.segment == segment]
        faces = range(len(self.shots[segment].faces))
        tracks = [sound.lips(self.spoken, segment, f, times, self.duration_s) for f in faces]
        return [[float(track[i]) for track in tracks] for i in range(len(times))]

    def tell(self, name: str, frames: list[FrameTruth]) -> Truth:
        """The truth of the rendered file."""
        form = self.form
        segments = [self._segment(i, frames) for i in range(len(self.shots))]
        return Truth(
            file=name,
            fps=float(form.fps),
            variable_frame_rate=form.drop_every is not None,
            width=form.width,
            height=form.height,
            duration_s=self.duration_s,
            rotation=form.rotation,
            pixel_aspect=float(form.pixel_aspect),
            sound=form.sound,
            sound_late_s=form.sound_late_s,
            cuts=tuple(self._cut(i, segments) for i in range(1, len(segments))),
            segments=tuple(segments),
            speech=tuple(self._heard()) if form.sound else (),
            frames=tuple(frames),
        )

    def _segment(self, index: int, frames: list[FrameTruth]) -> SegmentTruth:
        own = [i for i, frame in enumerate(frames) if frame.segment == index]
        seen = [sum(face.visible >= 0.5 for face in frames[i].faces) for i in own]
        return SegmentTruth(
            start_frame=own[0],
            end_frame=own[-1] + 1,
            start_s=self.starts_s[index],
            end_s=self.starts_s[index + 1],
            faces=max(seen),
            background=self.shots[index].background,
        )

    def _cut(self, index: int, segments: list[SegmentTruth]) -> CutTruth:
        faded = self.shots[index - 1].fade_out_s or self.shots[index].fade_in_s
        first = segments[index].start_frame
        return CutTruth(
            frame=first, time_s=segments[index].start_s, kind="fade" if faded else "hard"
        )

    def _heard(self) -> Iterator[SpeechTruth]:
        for one in self.spoken:
            start_s = max(one.start_s + self.form.sound_late_s, self.form.sound_from_s)
            end_s = min(one.end_s + self.form.sound_late_s, self.duration_s)
            if start_s < end_s:
                yield SpeechTruth(
                    start_s=round(start_s, 4),
                    end_s=round(end_s, 4),
                    text=one.text,
                    segment=one.segment,
                    speaker=one.speaker,
                    words=tuple(self._words(one)),
                )

    def _words(self, said: sound.Utterance) -> Iterator[WordTruth]:
        begin_s = said.start_s + self.form.sound_late_s
        for word, start_s, end_s in said.words:
            first_s = max(begin_s + start_s, self.form.sound_from_s)
            last_s = min(begin_s + min(end_s, said.end_s - said.start_s), self.duration_s)
            if first_s < last_s:
                yield WordTruth(word=word, start_s=round(first_s, 4), end_s=round(last_s, 4))


def _draw(timeline: _Timeline, told: list[FrameTruth]) -> Iterator[tuple[Tick, Pixels]]:
    """Yield every frame's picture and append its truth to `told`."""
    form = timeline.form
    level = _loudness(timeline)
    segment = -1
    for index, tick in enumerate(timeline.ticks):
        if tick.segment != segment:
            segment = tick.segment
            shot = timeline.shots[segment]
            stage = Stage(shot, form.width, form.height)
            mouths = iter(timeline.lips(segment))
        since_s = tick.time_s - timeline.starts_s[segment]
        picture, faces = stage.draw(since_s, next(mouths))
        light = _brightness(shot, since_s, float(1 / form.fps))
        told.append(
            FrameTruth(
                time_s=round(tick.time_s, 6),
                segment=segment,
                loudness=round(float(level[index]), 5),
                brightness=round(light, 4),
                faces=faces,
            )
        )
        yield tick, picture if light == 1 else (picture * np.float32(light)).astype(np.uint8)


def _loudness(timeline: _Timeline) -> Floats:
    form, times = timeline.form, [tick.time_s for tick in timeline.ticks]
    if not form.sound:
        return np.zeros(len(times), np.float32)
    return sound.loudness(timeline.track, form.sample_rate, times, float(1 / form.fps))


def _brightness(shot: Shot, since_s: float, frame_s: float) -> float:
    """0 black .. 1; the first frame of a fade in and the last of a fade out are black."""
    rising = since_s / shot.fade_in_s if shot.fade_in_s else 1.0
    left_s = shot.duration_s - since_s - frame_s
    falling = left_s / shot.fade_out_s if shot.fade_out_s else 1.0
    return float(np.clip(min(rising, falling), 0, 1))
