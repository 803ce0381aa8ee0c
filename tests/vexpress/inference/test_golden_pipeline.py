"""The pipeline and its surroundings against arrays of the published code."""

from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.golden import TOLERANCE, Golden, golden_params, goldens, pipeline_of
from vexpress.faces.retarget import closest_frame, naive_retarget, offset_retarget, turn
from vexpress.faces.v_kps_image import draw_all
from vexpress.inference.median_filter import filter_video
from vexpress.inference.settings import Sampling

PAIRS = goldens()


@pytest.fixture(scope="module", params=golden_params(PAIRS))
def golden(request: pytest.FixtureRequest) -> Golden:
    return request.param


def arrays(golden: Golden, *names: str) -> list[np.ndarray]:
    if not golden.has(*names):
        pytest.skip(f"{golden.name} has not all of {names}")
    return [golden.arrays[name] for name in names]


def sampling_of(golden: Golden, run: dict[str, Any]) -> Sampling:
    window, overlap = golden.sizes["context_frames"], golden.sizes["context_overlap"]
    return Sampling(window=window, overlap=overlap, **run)


def test_golden_videos(golden: Golden) -> None:
    runs = {name: run for name, run in golden.sizes.get("runs", {}).items() if golden.has(name)}
    inputs = ("pipeline_reference_image", "pipeline_kps", "pipeline_waveform")
    if not runs or not golden.has(*inputs):
        pytest.skip(f"{golden.name} has no run of the pipeline")
    image, points, waveform = (golden.arrays[name] for name in inputs)
    pipeline = pipeline_of(golden)
    height, width = image.shape[:2]
    for name, run in runs.items():
        sampling = sampling_of(golden, run)
        seed = golden.sizes["seed"]
        found = pipeline(image, points, waveform, width, height, sampling, seed).frames
        worst = np.abs(found.numpy() - golden.arrays[name]).max()
        assert worst <= TOLERANCE, f"{golden.name}: {name} is off by {worst:.2e}"


def test_golden_initial_noise(golden: Golden) -> None:
    (noise,) = arrays(golden, "initial_noise_seed42")
    found = torch.randn(noise.shape, generator=torch.Generator().manual_seed(42))
    assert np.array_equal(found.numpy(), noise)


def test_golden_median_filter(golden: Golden) -> None:
    video, filtered = arrays(golden, "pipeline_video_default", "median_filtered_default")
    found = filter_video(np.moveaxis(video[0], 0, -1))
    assert np.array_equal(np.moveaxis(found, -1, 0), filtered)


def test_golden_kps_images_are_the_same_bit_for_bit(golden: Golden) -> None:
    points, images = arrays(golden, "pipeline_kps", "kps_images")
    assert np.array_equal(draw_all(points[: len(images)], *images.shape[1:3]), images)


def upstream_frame(reference: np.ndarray, driving: np.ndarray) -> int:
    """The frame that published code picks: it keeps the ratio itself as the best difference."""
    best, frame = 10_000.0, 0
    for index, points in enumerate(driving):
        if abs(turn(points) - turn(reference)) < best:
            best, frame = turn(points), index
    return frame


def test_golden_retarget_arrays_with_the_published_choice_of_frame(golden: Golden) -> None:
    names = ("retarget_ref", "retarget_in", "retarget_offset", "retarget_naive_upstream")
    reference, driving, offset, naive = arrays(golden, *names)
    frame = upstream_frame(reference, driving)
    np.testing.assert_allclose(offset_retarget(reference, driving, frame), offset, atol=1e-9)
    np.testing.assert_allclose(naive_retarget(reference, driving, frame), naive, atol=1e-9)


def test_golden_retarget_picks_the_frame_turned_most_like_the_reference(golden: Golden) -> None:
    reference, driving = arrays(golden, "retarget_ref", "retarget_in")
    off = [abs(turn(points) - turn(reference)) for points in driving]
    frame = closest_frame(reference, driving)
    assert off[frame] == min(off)
    chosen = naive_retarget(reference, driving)
    np.testing.assert_allclose(chosen, naive_retarget(reference, driving, frame))
