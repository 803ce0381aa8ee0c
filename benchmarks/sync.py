"""Are sound and lips in time? The weight-free estimate on real talking clips.

    python -m benchmarks.sync --assets DIR [--work DIR] [--fit]

Every clip is judged with filters fitted without its person. Shown are: the estimate as the
files are; what becomes of it when the sound is made late by -8 … 8 frames (taken from the
source around the clip, not rolled; the picture is cut by 8 frames at both ends, so that real
sound of the same video is heard at every shift); and what it says of sounds that belong to
other persons. The baseline, in the same run: the correlation of the frame differences of lip
opening and log energy. `--fit` writes `vexpress/sync/lip_sound_filters.py`, fitted on all clips.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np

from benchmarks.fit_lip_sound import cut, fit, write_filters
from benchmarks.talking_clips import AROUND_S, TalkingClip, talking_clips
from vexpress.sync import lip_sound_filters
from vexpress.sync.estimate import SyncEstimate
from vexpress.sync.lip_sound import LAGS, RATE, Filters, estimate_offset
from vexpress.tasks.curate.sync import SURE

SHIFTS = range(-8, 9)
TRIM = 8
CONFIDENCES = (3.0, 3.5, 4.0, 4.5, 5.0)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync", description=__doc__)
    parser.add_argument("--assets", type=Path, default=os.environ.get("VEXPRESS_ASSETS"))
    parser.add_argument("--work", type=Path, default=Path("build/sync"))
    parser.add_argument("--model", default="scrfd_2.5g")
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    clips = list(talking_clips(options.assets.resolve(), options.work / "dataset", options.model))
    if options.fit:
        write_filters(fit(clips), clips, Path(lip_sound_filters.__file__))
        return
    filters = without_each_person(clips)
    by_person(as_they_are(clips, filters))
    shifted(clips, filters)
    foreign(clips, filters)


def without_each_person(clips: list[TalkingClip]) -> dict[str, Filters]:
    """Return for each person filters that were fitted on all others."""
    persons = {clip.person for clip in clips}
    return {p: fit([clip for clip in clips if clip.person != p]) for p in sorted(persons)}


def as_they_are(
    clips: list[TalkingClip], filters: dict[str, Filters]
) -> list[tuple[TalkingClip, SyncEstimate]]:
    """Print the estimate of each clip, and how many lie near zero; return what is sure."""
    print("clip                              frames  offset  confidence  baseline")
    near, sure = {"ours": 0, "baseline": 0}, []
    start, judged = time.perf_counter(), 0
    for clip in clips:
        found = estimate_offset(clip.lips, cut(clip), filters=filters[clip.person])
        judged += len(clip.lips)
        simple = baseline(clip)
        if found.confidence is not None and found.confidence >= SURE["lips"]:
            sure.append((clip, found))
        near["ours"] += found.offset_frames is not None and abs(found.offset_frames) <= 1
        near["baseline"] += abs(simple) <= 1
        print(f"{clip.name:32} {len(clip.lips):6}  {told(found)}  {simple:8g}")
    seconds = time.perf_counter() - start
    print(f"within 1 frame of zero: {near}; {1000 * seconds / judged:.2f} ms a frame\n")
    return sure


def by_person(sure: list[tuple[TalkingClip, SyncEstimate]]) -> None:
    """Print what the sure clips of each person say: of one recording, or of one bias."""
    offsets: dict[str, list[str]] = {}
    for clip, found in sure:
        offsets.setdefault(clip.person, []).append(f"{found.offset_frames:g} ({clip.name})")
    print(f"{len(sure)} sure clips, offset by person")
    for person, told in sorted(offsets.items()):
        print(f"{person:16} {', '.join(told)}")
    largest = max(abs(found.offset_frames or 0) for _, found in sure)
    print(f"largest {largest:g}\n")


def told(found: SyncEstimate) -> str:
    """Return an estimate as columns."""
    if found.offset_frames is None or found.confidence is None:
        return f"{found.note or '':>18}"
    return f"{found.offset_frames:6g}  {found.confidence:10.1f}"


def baseline(clip: TalkingClip) -> float:
    """Return the offset by the plain correlation of differences, frames."""
    opening = np.diff(clip.lips[:, 0])
    lags = LAGS[LAGS % 1 == 0]
    scores = []
    for lag in lags:
        first = round((AROUND_S + lag / 25) * RATE)
        part = clip.sound[first:][: len(clip.lips) * RATE // 25].reshape(-1, RATE // 25)
        energy = np.diff(10 * np.log10((part**2).mean(axis=1) + 1e-8))
        scores.append(np.nan_to_num(np.corrcoef(energy, opening)[0, 1]))
    return float(lags[np.argmax(scores)])


def shifted(clips: list[TalkingClip], filters: dict[str, Filters]) -> None:
    """Print how often the estimate follows a shift of the sound, by least confidence."""
    pairs, clips_judged = [], []
    for clip in clips:
        trimmed = clip.lips[TRIM:-TRIM]
        sounds = {shift: cut(clip, shift, TRIM) for shift in SHIFTS}
        found = {
            shift: estimate_offset(trimmed, sound, filters=filters[clip.person])
            for shift, sound in sounds.items()
        }
        zero = found[0]
        if zero.offset_frames is None or zero.confidence is None:
            continue
        clips_judged.append(zero.confidence)
        for shift, one in found.items():
            if shift and one.offset_frames is not None and one.confidence is not None:
                error = one.offset_frames - zero.offset_frames - shift
                pairs.append((min(one.confidence, zero.confidence), abs(error) <= 1))
    print(f"shifted by {SHIFTS[0]} … {SHIFTS[-1]} frames, {len(clips)} clips, {len(pairs)} pairs")
    print("least confidence   clips   pairs   right within 1 frame")
    for least in (0.0, *CONFIDENCES):
        right = [ok for confidence, ok in pairs if confidence >= least]
        sure = sum(confidence >= least for confidence in clips_judged)
        print(f"{least:16g} {sure:7} {len(right):7}   {np.mean(right):.3f}")
    print()


def foreign(clips: list[TalkingClip], filters: dict[str, Filters]) -> None:
    """Print how often another person's sound is believed."""
    confidences = []
    for clip in clips:
        for other in clips:
            frames = min(len(clip.lips), len(other.lips))
            if clip.person == other.person:
                continue
            short = TalkingClip("", "", other.lips[:frames], other.sound)
            lips = clip.lips[:frames]
            found = estimate_offset(lips, cut(short), filters=filters[clip.person])
            if found.confidence is not None:
                confidences.append(found.confidence)
    print(f"another person's sound, {len(confidences)} pairs")
    print("least confidence   believed")
    for least in CONFIDENCES:
        print(f"{least:16g}   {np.mean(np.array(confidences) >= least):.4f}")


if __name__ == "__main__":
    main()
