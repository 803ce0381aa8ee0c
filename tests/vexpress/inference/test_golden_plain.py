"""The plain baseline of the benchmarks is faithful: it equals the published code's arrays."""

import numpy as np
import pytest

from benchmarks.plain_vexpress import PlainPipeline, plain_median
from tests.helpers.golden import TOLERANCE, Golden, golden_params, goldens, pipeline_of
from vexpress.inference.settings import Sampling

PAIRS = [golden for golden in goldens() if golden.sizes.get("runs")]


@pytest.mark.parametrize("golden", golden_params(PAIRS))
def test_golden_videos_of_the_plain_baseline(golden: Golden) -> None:
    image, points, waveform = (
        golden.arrays[f"pipeline_{name}"] for name in ("reference_image", "kps", "waveform")
    )
    plain = PlainPipeline(pipeline_of(golden))
    size, seed = (image.shape[1], image.shape[0]), golden.sizes["seed"]
    window, overlap = golden.sizes["context_frames"], golden.sizes["context_overlap"]
    for name, run in golden.sizes["runs"].items():
        sampling = Sampling(window=window, overlap=overlap, **run)
        found = np.moveaxis(plain(image, points, waveform, size, sampling, seed), -1, 0)
        worst = np.abs(found - golden.arrays[name][0]).max()
        assert worst <= TOLERANCE, f"{golden.name}: plain {name} is off by {worst:.2e}"


@pytest.mark.parametrize("golden", golden_params(PAIRS))
def test_golden_median_of_the_plain_baseline(golden: Golden) -> None:
    video, filtered = (
        golden.arrays[name] for name in ("pipeline_video_default", "median_filtered_default")
    )
    found = plain_median(np.moveaxis(video[0], 0, -1))
    assert np.array_equal(np.moveaxis(found, -1, 0), filtered)
