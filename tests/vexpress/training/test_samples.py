"""What a sample is: the same for ever, aligned in all its parts, read without waste."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.small_clips import SIDE, write_clip
from tests.helpers.small_training import small_settings
from vexpress.faces.v_kps_image import draw_v_kps
from vexpress.training.audio_features import check_vectors, vectors_of_frames
from vexpress.training.augmentation import draw_view
from vexpress.training.clips import (
    ClipError,
    ClipFiles,
    ClipIndex,
    check_lengths,
    split_clips,
    write_index,
)
from vexpress.training.lips import lip_boxes, lip_mask
from vexpress.training.randomness import generator
from vexpress.training.samples import (
    StageSamples,
    StepSampler,
    draw_span,
    is_unconditional,
    read_frames,
)
from vexpress.training.settings import DataSettings, StageSettings, rate_at


def samples_of(material: Path, stage: int = 2, **data: object) -> StageSamples:
    settings = small_settings(material, data=data)
    index = ClipIndex(material / "clips.safetensors")
    clips = list(range(len(index)))
    return StageSamples(
        index, clips, settings.stage(stage), settings.data, seed=5, samples_a_step=2
    )


def test_a_sample_is_the_same_whenever_it_is_asked_for(material: Path) -> None:
    samples = samples_of(material)
    first, between, again = samples[7], samples[8], samples[7]
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name
    assert not torch.equal(first["noise"], between["noise"])


def test_shapes_and_ranges(material: Path) -> None:
    sample = samples_of(material)[0]
    shapes = {name: tuple(tensor.shape) for name, tensor in sample.items()}
    assert shapes["images"] == (3, 3, 64, 64) and shapes["reference"] == (3, 64, 64)
    assert shapes["v_kps"] == (3, 3, 64, 64) and shapes["lip_mask"] == (3, 8, 8)
    assert shapes["audio"] == (3, 10, 32) and shapes["noise"] == (4, 3, 8, 8)
    assert -1 <= sample["images"].min() < 0 < sample["images"].max() <= 1
    assert sample["v_kps"].max() == 1 and set(sample["lip_mask"].unique().tolist()) == {0, 1}


def test_the_reference_is_never_nearer_than_the_margin() -> None:
    distances = []
    for number in range(300):
        span = draw_span(45, 8, 30, generator(number))
        assert span.frames.start >= 0 and span.frames.stop <= 45 and 0 <= span.reference < 45
        distances.append(min(abs(span.reference - frame) for frame in span.frames))
    assert min(distances) == 30


def test_every_possible_span_is_drawn_and_the_shortest_clip_has_exactly_two() -> None:
    spans = {draw_span(38, 8, 30, generator(number)) for number in range(100)}
    assert {(span.frames.start, span.reference) for span in spans} == {(0, 37), (30, 0)}


def face_positions(sample: dict[str, torch.Tensor]) -> np.ndarray:
    """Centre of the drawn eyes (dark blue) in the first picture, x and y."""
    rgb = ((sample["images"][0] + 1) * 127.5).permute(1, 2, 0).numpy()
    ys, xs = np.nonzero((rgb[..., 0] < 50) & (rgb[..., 1] < 60))
    return np.array([xs.mean(), ys.mean()])


def kps_positions(sample: dict[str, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Centres of the red and of the green disc in the first V-Kps picture."""
    picture = sample["v_kps"][:, 0].numpy()
    centres = []
    for channel in (0, 1):
        ys, xs = np.nonzero(picture[channel] == 1)
        centres.append(np.array([xs.mean(), ys.mean()]))
    return centres[0], centres[1]


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_picture_kps_and_lips_stay_aligned_when_cropped_and_flipped(
    material: Path, flip: float
) -> None:
    samples = samples_of(material, flip=flip, crop_scale=(0.6, 0.8))
    for number in range(12):
        sample = samples[number]
        red, green = kps_positions(sample)
        assert red[0] < green[0], "red is the eye on the left of the picture, flipped or not"
        off = np.abs((red + green) / 2 - face_positions(sample)).max()
        assert off < 2.5, f"sample {number}: points are {off:.1f} px off the picture"
        ys, xs = np.nonzero(sample["lip_mask"][0].numpy())
        mouth_y, eyes_y = 8 * ys.mean() + 4, (red[1] + green[1]) / 2
        assert mouth_y > eyes_y + 8, "lips are below the eyes"
        assert abs(8 * xs.mean() + 4 - (red[0] + green[0]) / 2) < 10


def test_flipped_points_draw_what_flipping_the_picture_draws_with_red_and_green_swapped() -> None:
    points = np.array([[20.0, 20], [40, 22], [31, 34]], np.float32)
    view = draw_view(SIDE, SIDE, SIDE, (1.0, 1.0), (0.9, 1.0), 1.0, generator(0))
    drawn = draw_v_kps(view.v_kps(points[None])[0], SIDE, SIDE).astype(int)
    mirrored = draw_v_kps(points, SIDE, SIDE)[:, ::-1][..., [1, 0, 2]].astype(int)
    assert (np.abs(drawn - mirrored).max(axis=2) > 0).mean() < 0.03  # the outlines' rounding


def test_the_published_crop_keeps_square_pictures_whole() -> None:
    for number in range(50):
        view = draw_view(512, 512, 512, (1.0, 1.0), (0.9, 1.0), 0.5, generator(number))
        assert min(view.width, view.height) >= 511


def test_sound_follows_the_frames_it_belongs_to() -> None:
    vectors = torch.arange(100, dtype=torch.float32)[:, None]
    around = vectors_of_frames(vectors, 50, range(10, 13))
    assert around.shape == (3, 10, 1)
    assert around[0, 4:6, 0].tolist() == [20, 21], "frame 10 is in the middle of its vectors"
    start = vectors_of_frames(vectors, 50, range(0, 1))
    assert start[0, :4].abs().max() == 0, "before the first vector there are zeros"


def test_two_workers_take_the_samples_that_one_would(material: Path) -> None:
    stage = small_settings(material).stage_2.derive(batch=1, accumulate=2)
    both = [list(StepSampler(stage, rank, 2, 1)) for rank in (0, 1)]
    alone = list(StepSampler(stage.derive(batch=2), 0, 1, 1))
    assert [a + b for a, b in zip(*both, strict=True)] == alone
    assert alone[0] == [4, 5], "step 0 took samples 0 to 3"


def test_every_clip_comes_once_before_any_comes_twice(material: Path) -> None:
    samples = samples_of(material)
    seen = [samples.clip_of(number) for number in range(9)]
    assert all(set(seen[i : i + 3]) == {0, 1, 2} for i in (0, 3, 6))


def test_drop_rates_are_met_and_may_change_over_the_steps(material: Path) -> None:
    stage = small_settings(material).stage_2.derive(
        reference_drop=0.2, kps_drop=((0, 0.0), (200, 1.0)), steps=200
    )
    samples = samples_of(material)
    samples.stage = stage
    drawn = [samples._noise(n, generator("drop", n)) for n in range(400)]
    frames = torch.stack([sample["reference_keep"] for sample in drawn])
    assert 1 - frames.mean() == pytest.approx(0.2, abs=0.04)
    mixed = [sample for sample in drawn if 0 < sample["reference_keep"].mean() < 1]
    assert mixed, "the reference is dropped frame by frame"
    kps = torch.stack([sample["kps_keep"] for sample in drawn])
    assert kps[:80].mean() > 0.8 and kps[-80:].mean() < 0.2


def test_unconditional_steps_are_the_same_for_all_workers_and_as_rare_as_asked(
    material: Path,
) -> None:
    stage = small_settings(material).stage_2
    drawn = [is_unconditional(stage, 1, step) for step in range(2000)]
    assert Counter(drawn)[True] == pytest.approx(200, abs=45)
    assert drawn[:50] == [is_unconditional(stage, 1, step) for step in range(50)]


def test_rates_go_straight_from_point_to_point() -> None:
    rate = ((10, 0.0), (20, 1.0))
    assert [rate_at(rate, step) for step in (0, 10, 15, 20, 99)] == [0, 0, 0.5, 1, 1]
    assert rate_at(0.3, 7) == 0.3


def test_noise_has_its_offset(material: Path) -> None:
    samples = samples_of(material)
    samples.stage = samples.stage.derive(noise_offset=3.0)
    means = samples._noise(0, generator(1))["noise"].mean(dim=(1, 2, 3))
    assert means.abs().max() > 1, "a channel of pure noise has a mean near zero"


def test_lip_boxes_of_landmarks_and_of_five_points() -> None:
    landmarks = np.zeros((1, 106, 2), np.float32)
    landmarks[0, 52:72] = np.stack([np.linspace(40, 60, 20), np.linspace(70, 80, 20)], axis=1)
    points = np.array([[[0, 0], [1, 0], [0, 1], [40, 75], [60, 75]]], np.float32)
    assert lip_boxes(points, landmarks, 106)[0].tolist() == [30, 65, 70, 85]
    assert lip_boxes(points)[0].tolist() == [30, 65, 70, 85]


def test_a_lip_mask_holds_every_cell_that_the_box_touches() -> None:
    mask = lip_mask(np.array([7.0, 8.0, 17.0, 16.0]), 32, 32)
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 1], [1, 2]]
    assert not lip_mask(np.array([-20.0, -20, -10, -10]), 32, 32).any()


def test_frames_read_at_random_are_those_of_reading_in_order(material: Path) -> None:
    video = str(material / "media/clip0.mp4")
    everything = read_frames(video, list(range(48)))
    some = [40, 3, 17]
    assert np.array_equal(read_frames(video, some), everything[some])


def test_a_missing_and_a_damaged_clip_are_named(material: Path, tmp_path: Path) -> None:
    with pytest.raises(ClipError, match=r"gone\.mp4 is missing"):
        read_frames(str(tmp_path / "gone.mp4"), [0])
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(ClipError, match=r"bad\.mp4 cannot be decoded"):
        read_frames(str(tmp_path / "bad.mp4"), [0])


def test_clips_shorter_than_a_sample_are_refused_with_the_filter_that_helps(material: Path) -> None:
    clips = ClipIndex(material / "clips.safetensors").clips
    with pytest.raises(ClipError, match='where "frames >= 50"') as raised:
        check_lengths(clips, 50, stage=2)
    assert "clip0 (48)" in str(raised.value) and "3 of 3 shorter" in str(raised.value)


def test_sound_of_another_length_is_refused(material: Path) -> None:
    sound = material / "media/clip0.safetensors"
    assert check_vectors(sound, 48, 25.0) == 32
    with pytest.raises(ClipError, match="about 192 audio vectors for 96 frames"):
        check_vectors(sound, 96, 25.0)


def named(*groups: str) -> list[ClipFiles]:
    return [ClipFiles(f"c{n}", "", "", group, 50, 64, 64, "") for n, group in enumerate(groups)]


def test_no_source_is_on_both_sides_of_the_split() -> None:
    clips = named(*"aabbccddee")
    train, held = split_clips(clips, 0.2, seed=1)
    assert len(held) == 2 and sorted(train + held) == list(range(10))
    assert not {clips[i].group for i in train} & {clips[i].group for i in held}
    assert split_clips(clips, 0.2, seed=1) == (train, held)


def test_one_source_cannot_be_split() -> None:
    with pytest.raises(ClipError, match="at least two sources"):
        split_clips(named("a", "a"), 0.1, seed=0)
    assert split_clips(named("a", "a"), 0.0, seed=0) == ([0, 1], [0, 1])


def test_the_index_gives_back_what_was_written(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path, f"c{n}", 40 + n, n) for n in range(2)]
    write_index(tmp_path / "clips.safetensors", clips)
    index = ClipIndex(tmp_path / "clips.safetensors")
    assert [clip.clip_id for clip in index.clips] == ["c0", "c1"]
    assert np.array_equal(index.kps(1, range(5, 9)), clips[1].kps[5:9])
    assert np.array_equal(index.lip_boxes(0, range(0, 40)), clips[0].lip_boxes)
    shutil.rmtree(tmp_path)


def test_defaults_are_the_published_ones() -> None:
    from vexpress.training.presets import full

    settings = full()
    one, two, three = settings.stage_1, settings.stage_2, settings.stage_3
    assert (one.frames, one.batch, one.steps, one.lip_weight) == (1, 8, 40_000, 1)
    assert (two.frames, two.batch, three.frames, three.batch) == (20, 1, 8, 1)
    assert [s.unconditional for s in (one, two, three)] == [0.1] * 3
    assert (one.reference_drop, one.kps_drop) == (0, 0)
    for stage in (two, three):
        assert (stage.reference_drop, stage.kps_drop, stage.lip_weight) == (0.2, 0.5, 100)
    assert one.zero_at_start and two.zero_at_start and not three.zero_at_start
    assert isinstance(two, StageSettings) and isinstance(settings.data, DataSettings)
