"""Whose voice it is: from scores to spans, shares and verdicts, and on two rendered heads."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.rows import clip
from tests.helpers.steps import candidates, probed
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.speaking import Speaking
from vexpress.schemas.video import Video
from vexpress.tasks.curate.filter import KeepRules, first_broken
from vexpress.tasks.curate.other_faces import SCORES, SYNC, WatchOtherFaces, upright_pictures
from vexpress.tasks.curate.scores.speaker import SERIES, SpeakerScoring, load_network
from vexpress.tasks.curate.speaking import TellSpeaker, speaks
from vexpress.tasks.engine.network import NetworkConfig
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate, Cuts, DetectedVideo, Detections

VIDEO = Video(video_id="v", source="/v.mp4", status="ok", audio_streams=1)
FRAMES = 100


def candidate(
    own: np.ndarray | None, others: list[np.ndarray], spoken: list[tuple[float, float]]
) -> Candidate:
    """A clip of 4 s in which is heard what `spoken` says."""
    series = {} if own is None else {SERIES: own, SCORES: np.concatenate([*others, own[:0]])}
    return Candidate(
        video=VIDEO,
        clip=clip(frames=FRAMES, track_id="own", faces=1 + len(others)),
        times=np.arange(FRAMES + 1) / 25,
        points=np.zeros((FRAMES, 5, 2), np.float32),
        detected=np.ones(FRAMES, bool),
        spoken=np.array(spoken).reshape(-1, 2),
        others=np.zeros((FRAMES * len(others), 5, 2), np.float32),
        other_tracks=[f"other{number}" for number in range(len(others))],
        series={name: values.astype(np.float32) for name, values in series.items()},
    )


def scores(*spans: tuple[int, int]) -> np.ndarray:
    """Above 0 in these frames."""
    found = np.full(FRAMES, -3.0, np.float32)
    for first, last in spans:
        found[first:last] = 3
    return found


def tell(row: Candidate) -> tuple[Candidate, list[tuple[str, str | None, float, float]]]:
    told, *rows = list(TellSpeaker(None, Context(Dataset("/nowhere")))(row))
    assert isinstance(told, Candidate)
    spans = [(r.speaker, r.track_id, r.start_s, r.end_s) for r in rows if isinstance(r, Speaking)]
    return told, spans


def verdict(row: Candidate) -> str | None:
    changed = row.clip.model_copy(update={"speech_share": 0.9, "has_sound": True})
    broken = first_broken(changed, KeepRules())
    return broken and broken[0]


def test_two_who_take_turns_are_told_apart() -> None:
    own, other = scores((0, 50)), scores((50, 75))
    told, spans = tell(candidate(own, [other], [(0.0, 4.0)]))
    assert spans == [
        ("clip", "own", 0.0, 2.0),
        ("other", "other0", 2.0, 3.0),
        ("unseen", None, 3.0, 4.0),
    ]
    clip = told.clip
    assert (clip.speaking_share, clip.other_speaking_share) == (0.5, 0.25)
    assert clip.unseen_speaking_share == 0.25
    assert (clip.speaker_known, clip.speaking_backend) == (True, "lr_asd")
    assert verdict(told) == "other_speaks"


def test_only_what_is_heard_is_spoken() -> None:
    """Who moves the lips while nobody is heard, laughs or chews."""
    told, spans = tell(candidate(scores((0, 100)), [], [(1.0, 3.0)]))
    assert spans == [("clip", "own", 1.0, 3.0)]
    assert told.clip.speaking_share == 1.0 and told.clip.speaker_known is None
    assert verdict(told) is None
    silent, spans = tell(candidate(scores((0, 100)), [], []))
    assert spans == [] and silent.clip.speaking_share is None


def test_each_verdict_has_its_reason() -> None:
    spoken = [(0.0, 4.0)]
    listens = tell(candidate(scores(), [scores((0, 100))], spoken))[0]
    assert verdict(listens) == "other_speaks"
    assert verdict(tell(candidate(scores(), [], spoken))[0]) == "voice_over"
    both = tell(candidate(scores((0, 100)), [scores((20, 60))], spoken))[0]
    assert verdict(both) == "other_speaks"
    alone = tell(candidate(scores((0, 100)), [scores()], spoken))[0]
    assert verdict(alone) is None
    half = tell(candidate(scores((0, 48)), [scores((94, 100))], spoken))[0]
    assert (half.clip.other_speaking_share or 1) < 0.1 and verdict(half) == "not_speaking"


def test_of_two_who_move_their_lips_the_one_in_time_with_the_sound_speaks() -> None:
    both = candidate(scores((0, 100)), [scores((0, 90))], [(0.0, 4.0)])
    late = both.model_copy(update={"series": {**both.series, SYNC: np.array([9, 9], np.float32)}})
    mine = tell(late.update(sync_known=True, sync_offset_frames=-1.0))[0]
    assert (mine.clip.speaking_share, mine.clip.other_speaking_share) == (1.0, 0.0)
    assert verdict(mine) is None
    assert verdict(tell(late.update(sync_known=False))[0]) == "other_speaks", "nobody is sure"
    sure = both.model_copy(update={"series": {**both.series, SYNC: np.array([1, 9], np.float32)}})
    theirs = tell(sure.update(sync_known=False))[0]
    assert (theirs.clip.speaking_share, theirs.clip.other_speaking_share) == (0.1, 0.9)
    at_once = tell(sure.update(sync_known=True, sync_offset_frames=0.0))[0]
    assert verdict(at_once) == "other_speaks", "both are sure: they speak at once"


def test_breaths_are_bridged_and_bursts_are_none() -> None:
    heard = np.ones(FRAMES, bool)
    assert speaks(scores((10, 40), (46, 80)), heard).tolist() == [10 <= i < 80 for i in range(100)]
    assert not speaks(scores((50, 52)), heard).any()


def test_without_the_network_lips_tell_of_whole_clips_where_they_are_sure() -> None:
    alone = candidate(None, [], [(0.0, 4.0)]).update(sync_known=True, sync_offset_frames=1.0)
    assert tell(alone)[0].clip.speaking_share == 1.0
    unsure = candidate(None, [], [(0.0, 4.0)]).update(sync_known=False)
    assert tell(unsure)[0].clip.speaking_share is None, "alone, it may stay"
    pair = candidate(None, [scores()], [(0.0, 4.0)])
    assert verdict(tell(pair)[0]) == "unsure_speaker"
    seen = pair.model_copy(update={"series": {SYNC: np.array([0.5, 9.0], np.float32)}})
    assert verdict(tell(seen)[0]) == "other_speaks"
    own = pair.update(sync_known=True, sync_offset_frames=0.0)
    assert verdict(tell(own)[0]) is None
    both = seen.update(sync_known=True, sync_offset_frames=0.0)
    assert verdict(tell(both)[0]) == "unsure_speaker"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Candidate]:
    """Two rendered heads of whom the right one speaks; where they are is told, not detected."""
    folder = tmp_path_factory.mktemp("pair")
    faces = (
        Face(width_px=120, x=0.25),
        Face(identity="mirrored", width_px=120, x=0.75),
    )
    said = (Speech(text="We counted eleven boats.", speaker=1, start_s=0.2),)
    shot = Shot(duration_s=2.2, faces=faces, speech=said, background="wall")
    truth = render([shot], folder / "pair.mp4", VideoFormat(width=480, height=360))
    seen = [face for frame in truth.frames for face in frame.faces]
    detections = Detections(
        backend="truth",
        every=1,
        frames=np.repeat(np.arange(len(truth.frames)), 2),
        boxes=np.array([face.box for face in seen]),
        points=np.array([face.points for face in seen]),
        scores=np.full(len(seen), 0.9),
        landmarks=np.zeros((0, 2)),
        landmark_count=0,
    )
    times = np.arange(len(truth.frames) + 1) / 25
    video = probed(folder / "pair.mp4")
    found = DetectedVideo(video=video, cuts=Cuts(times=times, cuts=[]), detections=detections)
    return candidates(found, folder)


def test_the_network_follows_the_voice_of_two_heads(pair: list[Candidate], assets: Path) -> None:
    left, right = pair
    assert left.clip.faces == 2 and left.other_tracks == [right.clip.track_id]
    config = NetworkConfig(model=str(assets / "models/lr_asd/pretrain_AVA.model"))
    watch = WatchOtherFaces(config, Context(Dataset("/nowhere")))
    silent = np.full(left.clip.frames, -3, np.float32)
    left = left.model_copy(update={"series": {SERIES: silent}})
    (seen,) = watch(left)
    assert isinstance(seen, Candidate)
    talks = seen.series[SCORES]
    own = SpeakerScoring(load_network(config, gpu=False), left, left.times, left.points)
    for number, image in upright_pictures(left):
        own.see(number, image)
    listens = own.scores()
    assert len(talks) == len(listens) == left.clip.frames
    spoken = slice(8, 40)
    assert np.median(talks[spoken]) > np.median(listens[spoken]) + 1, "drawn lips are half believed"
    assert SYNC not in seen.series
    (doubted,) = watch(left.model_copy(update={"series": {SERIES: -silent}}))
    assert isinstance(doubted, Candidate) and len(doubted.series[SYNC]) == 2


def test_a_face_that_is_not_there_does_not_speak(pair: list[Candidate], assets: Path) -> None:
    left, _ = pair
    config = NetworkConfig(model=str(assets / "models/lr_asd/pretrain_AVA.model"))
    points = left.points.copy()
    points[:30] = np.nan
    scoring = SpeakerScoring(load_network(config, gpu=False), left, left.times, points)
    for number, image in upright_pictures(left):
        scoring.see(number, image)
    assert (scoring.scores()[:30] == -10).all() and (scoring.scores()[30:] > -10).all()


def test_without_the_network_the_lips_of_others_are_read(pair: list[Candidate]) -> None:
    left, _ = pair
    step = WatchOtherFaces(NetworkConfig(model=None), Context(Dataset("/nowhere")))
    (seen,) = step(left)
    assert isinstance(seen, Candidate)
    offset, confidence = seen.series[SYNC]
    assert np.isfinite(offset) and confidence > 0
    alone = left.model_copy(update={"other_tracks": []})
    assert step.skip(alone) == [alone]
