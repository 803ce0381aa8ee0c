"""Sound that is late or early is found, and put where it belongs, in the WAV and in the clip."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from tests.helpers.late_sound import lateness, make_late, render_speaker
from tests.helpers.steps import candidates, detect, probed
from tests.helpers.syncnet_weights import made_up
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.chain import measured
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.crop import CropClip, CropConfig
from vexpress.tasks.curate.features import read_wav
from vexpress.tasks.curate.filter import KeepRules, first_broken
from vexpress.tasks.curate.scores.lips import LipScorer
from vexpress.tasks.curate.scores.measure import MeasureClip, ScoreConfig
from vexpress.tasks.curate.scores.syncnet import SyncNetScorer
from vexpress.tasks.curate.sound import RATE, SoundConfig, TakeSound
from vexpress.tasks.curate.sync import SyncClip, SyncConfig, decide
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate, DetectedVideo
from vexpress.tasks.media.resample import read_sound

CROP = CropConfig(size=256)


@pytest.fixture(autouse=True)
def only_lips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other scorers have tests of their own."""
    monkeypatch.setattr(MeasureClip, "SCORERS", (LipScorer,))


@dataclass(frozen=True)
class Speaker:
    """A rendered speaker in time, and what `detect` says of the picture."""

    path: Path
    detected_video: DetectedVideo

    def late(self, folder: Path, frames: float) -> DetectedVideo:
        """The same picture, detected_video, with sound that is late."""
        path = make_late(self.path, folder / f"late {frames:g}.mp4", frames)
        return self.detected_video.model_copy(update={"video": probed(path)})


@pytest.fixture(scope="session")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    """150 frames at 480x360, 25 fps, detected_video with dlib."""
    folder = tmp_path_factory.mktemp("speaker")
    render_speaker(folder / "speaker.mp4")
    detected_video = detect(probed(folder / "speaker.mp4"), folder)
    assert isinstance(detected_video, DetectedVideo)
    return Speaker(folder / "speaker.mp4", detected_video)


class Chain:
    """The steps from crop to sound, in a data set of their own."""

    def __init__(self, folder: Path) -> None:
        self.context = Context(Dataset(folder))
        self.context.dataset.create()
        self.ledger = Ledger(folder / "ledger.sqlite")

    def run(self, detected_video: DetectedVideo, crop: CropConfig = CROP, **sync: Any) -> Candidate:
        """Return the one clip of a video."""
        (row,) = candidates(detected_video, Path(self.context.dataset.root), crop)
        return self.finish(self.crop(row, crop), **sync)

    def crop(self, row: Candidate, crop: CropConfig = CROP) -> Candidate:
        (cropped,) = CropClip(crop, self.context).run(row, self.ledger)
        assert isinstance(cropped, Candidate)
        return cropped

    def finish(self, row: Candidate, **sync: Any) -> Candidate:
        seen = MeasureClip(ScoreConfig(), self.context).run(row, self.ledger)[0]
        (found,) = SyncClip(SyncConfig(**sync), self.context).run(seen, self.ledger)  # type: ignore[arg-type]
        (heard,) = TakeSound(SoundConfig(), self.context).run(found, self.ledger)  # type: ignore[arg-type]
        assert isinstance(heard, Candidate) and heard.clip.reason is None, heard
        return heard

    def bytes_of(self, row: Candidate) -> tuple[bytes, bytes]:
        """The WAV and the clip."""
        read = self.context.dataset.read
        return read(str(row.clip.audio_path)), read(str(row.clip.media_path))

    def lateness(self, row: Candidate, truth: Path) -> tuple[float, float]:
        """By how many frames the sound of WAV and clip is later than in `truth`."""
        start, fetch = row.clip.start_s, self.context.dataset.fetch
        wav = read_wav(fetch(str(row.clip.audio_path)))
        clip = read_sound(str(fetch(str(row.clip.media_path))), 0, len(wav), RATE)[:, 0]
        true = read_sound(str(truth), start, len(wav), RATE)[:, 0]
        return lateness(wav, true, RATE), lateness(clip, true, RATE)


@pytest.fixture
def chain(tmp_path: Path):
    made = Chain(tmp_path / "set")
    yield made
    made.ledger.close()


def pictures(path: Path) -> list[bytes]:
    """The packets of the picture."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(video=0) if packet.dts is not None]


@pytest.mark.parametrize("frames", [-5, 5, 6])
def test_late_and_early_sound_is_put_where_it_belongs(
    frames: int, speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    row = chain.run(speaker.late(tmp_path, frames))
    assert row.clip.sync_known and row.clip.sync_backend == "lips"
    assert row.clip.sync_offset_frames == pytest.approx(frames, abs=1)
    assert row.clip.sync_repaired_frames == row.clip.sync_offset_frames
    assert row.clip.sync_off_by_frames == 0
    for late in chain.lateness(row, speaker.path):
        assert abs(late) <= 1
    assert first_broken(row.clip, KeepRules()) is None


@pytest.mark.parametrize("frames", [-2, 0])
def test_what_may_be_the_error_of_lip_shape_is_left_as_it_is(
    frames: int, speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    row = chain.run(speaker.late(tmp_path, frames))
    assert row.clip.sync_offset_frames == pytest.approx(frames, abs=1)
    assert (row.clip.sync_repaired_frames, row.clip.sync_off_by_frames) == (0, 0)
    assert chain.lateness(row, speaker.path) == pytest.approx((frames, frames), abs=0.1)
    assert first_broken(row.clip, KeepRules(require_sync=True)) is None, (
        "nor is it a reason to reject"
    )
    asked = decide(row, SyncConfig(min_repair_frames=0)).clip
    assert asked.sync_repaired_frames == row.clip.sync_offset_frames


def test_an_offset_beyond_six_frames_is_no_repair_but_a_reason(
    speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    row = chain.run(speaker.late(tmp_path, 9))
    assert row.clip.sync_offset_frames == pytest.approx(9, abs=1)
    assert row.clip.sync_repaired_frames == 0
    assert chain.lateness(row, speaker.path) == pytest.approx((9, 9), abs=0.1)
    verdict = first_broken(row.clip, KeepRules())
    assert verdict is not None and verdict[0] == "out_of_sync"
    assert first_broken(row.clip, KeepRules(max_sync_off_frames=None)) is None


def test_the_picture_is_copied_packet_for_packet(
    speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    detected_video = speaker.late(tmp_path, 4)
    (plain,) = candidates(detected_video, tmp_path, CROP)
    path = chain.context.dataset.fetch(str(chain.crop(plain).clip.media_path))
    before = pictures(path)
    row = chain.run(detected_video)
    assert row.clip.sync_repaired_frames == pytest.approx(4, abs=1)
    assert pictures(path) == before and len(before) == row.clip.frames
    with av.open(str(path)) as container:
        assert container.streams.video[0].frames == row.clip.frames
        assert float(container.duration / av.time_base) == pytest.approx(6, abs=0.05)


def test_the_same_bytes_whenever_a_run_was_killed(
    speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    detected_video = speaker.late(tmp_path, 4)
    row = chain.run(detected_video)
    wanted = chain.bytes_of(row)
    assert chain.bytes_of(chain.run(detected_video)) == wanted, "again"
    other = Chain(tmp_path / "other")
    (plain,) = candidates(detected_video, tmp_path, CROP)
    other.crop(plain)
    assert other.bytes_of(other.finish(other.crop(plain))) == wanted, "elsewhere"
    chain.ledger.close()
    Path(chain.context.dataset.ledger_path).unlink()
    chain.ledger = Ledger(chain.context.dataset.ledger_path)
    cropped = plain.update(media_path=row.clip.media_path)
    assert chain.bytes_of(chain.finish(cropped)) == wanted, "killed before the ledger knew"
    (again,) = CropClip(CROP, chain.context)(plain)
    assert chain.bytes_of(row) != wanted
    assert chain.bytes_of(chain.finish(again)) == wanted, "the clip was cut once more"
    other.ledger.close()


def test_without_repair_the_sound_is_as_it_was(
    speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    detected_video = speaker.late(tmp_path, 4)
    chain.run(detected_video)
    row = chain.run(detected_video, repair=False)
    assert row.clip.sync_repaired_frames == 0
    assert row.clip.sync_off_by_frames == row.clip.sync_offset_frames
    assert chain.lateness(row, speaker.path) == pytest.approx((4, 4), abs=0.1)
    assert chain.ledger.tallies()["sync"].run == 1, "what is done about it measures nothing again"


def test_another_rate_of_frames_is_judged_in_the_same_frames(
    speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    row = chain.run(speaker.late(tmp_path, 5), crop=CropConfig(size=256, fps=30))
    assert row.clip.frames == 180
    assert row.clip.sync_offset_frames == pytest.approx(5, abs=1)
    assert max(map(abs, chain.lateness(row, speaker.path))) <= 1


def test_who_is_silent_cannot_be_judged_and_says_so(
    speaker: Speaker, chain: Chain, tmp_path: Path
) -> None:
    found = chain.run(speaker.late(tmp_path, 1000)).clip
    assert (found.sync_known, found.sync_offset_frames) == (False, None)
    assert found.sync_note == "the sound is silent"
    assert first_broken(found.model_copy(update={"speech_share": 1}), KeepRules()) is None
    verdict = first_broken(
        found.model_copy(update={"speech_share": 1}), KeepRules(require_sync=True)
    )
    assert verdict is not None and verdict[0] == "unsure_sync"


def test_an_offset_that_is_not_sure_is_none(speaker: Speaker, tmp_path: Path) -> None:
    (row,) = candidates(speaker.detected_video, tmp_path, CROP)
    doubtful = row.update(sync_backend="lips", sync_offset_frames=3.0, sync_confidence=4.0)
    clip = decide(doubtful, SyncConfig()).clip
    assert (clip.sync_known, clip.sync_offset_frames, clip.sync_repaired_frames) == (
        False,
        None,
        None,
    )
    assert clip.sync_note == "not sure: confidence 4.0, expected ≥ 4.5"
    believed = decide(doubtful, SyncConfig(min_confidence=3.5)).clip
    assert believed.sync_known and believed.sync_repaired_frames == 0
    sure = decide(doubtful.update(sync_backend="syncnet"), SyncConfig()).clip
    assert sure.sync_repaired_frames == 3, "SyncNet can tell 3 frames"


def test_lips_are_the_same_however_large_the_clip(speaker: Speaker, tmp_path: Path) -> None:
    shapes = []
    for size in (128, 256):
        made = Chain(tmp_path / str(size))
        crop = CropConfig(size=size)
        (row,) = candidates(speaker.detected_video, tmp_path, crop)
        found = MeasureClip(ScoreConfig(), made.context).run(made.crop(row, crop), made.ledger)
        shapes.append(np.asarray(found[0].series["lips"]).reshape(150, 6))  # type: ignore[attr-defined]
        made.ledger.close()
    opening = [shape[:, 0] for shape in shapes]
    assert np.corrcoef(*opening)[0, 1] > 0.9


def test_syncnet_judges_where_its_weights_are(
    speaker: Speaker, chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "weights/syncnet/syncnet_v2.model"
    place.parent.mkdir(parents=True)
    torch.save(made_up(), place)
    config, note = SyncClip.resolve(SyncConfig(), tmp_path / "weights")
    assert (config.backend, config.model) == ("syncnet", str(place)) and "SyncNet" in note
    monkeypatch.setattr(MeasureClip, "SCORERS", (LipScorer, SyncNetScorer))
    row = candidates(speaker.detected_video, tmp_path, CROP)[0]
    short = row.update(frames=30).model_copy(
        update={"times": row.times[:31], "points": row.points[:30]}
    )
    told = measured(CurateConfig(sync=config))
    cropped = chain.crop(short)
    seen = MeasureClip(told, chain.context).run(cropped, chain.ledger)[0]
    assert list(seen.series) == ["syncnet"], "lips are not read besides"  # type: ignore[attr-defined]
    (found,) = SyncClip(config, chain.context).run(seen, chain.ledger)  # type: ignore[arg-type]
    clip = found.clip  # type: ignore[attr-defined]
    assert clip.sync_backend == "syncnet" and len(seen.series["syncnet"]) == 31  # type: ignore[attr-defined]
    assert clip.sync_known == (clip.sync_confidence >= 3), "the weights are made up"


def test_syncnet_that_is_asked_for_and_not_there_fails_at_once(tmp_path: Path) -> None:
    assert SyncClip.resolve(SyncConfig(), tmp_path)[0].backend == "lips"
    assert SyncClip.resolve(SyncConfig(backend="lips", model="x"), None)[0].model is None
    for config in (SyncConfig(backend="syncnet"), SyncConfig(model=str(tmp_path / "no.model"))):
        with pytest.raises(ConfigError, match=r"expected SyncNet's weights at .*found none"):
            SyncClip.resolve(config, tmp_path)
