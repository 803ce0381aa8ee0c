"""The samples of a stage: sample number n is the same for ever, whoever asks for it.

A step of W workers with batch B and A backward passes takes W·B·A samples in a row; which
worker takes which follows from its rank. So nothing needs to be remembered but the step,
and two workers with batch 1 see what one with batch 2 sees.

Shapes: F frames, E audio channels, h and w latent height and width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import decord
import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from vexpress.errors import first_line
from vexpress.faces.v_kps_image import draw_all
from vexpress.training.audio_features import read_vectors, vectors_of_frames
from vexpress.training.augmentation import View, draw_view, full_view
from vexpress.training.clips import ClipError, ClipIndex
from vexpress.training.lips import lip_mask
from vexpress.training.randomness import chance, generator, integer
from vexpress.training.settings import DataSettings, StageSettings, rate_at

LATENT_CELL = 8
LATENT_CHANNELS = 4
TIMESTEPS = 1000
Sample = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Span:
    """Consecutive frames of a clip and the reference frame."""

    frames: range
    reference: int


def draw_span(total: int, frames: int, margin: int, random: torch.Generator) -> Span:
    """Draw `frames` consecutive frames of `total`, and a reference `margin` or more away."""
    starts = [
        start
        for start in range(total - frames + 1)
        if start >= margin or start + frames - 1 + margin < total
    ]
    start = starts[integer(len(starts), random)]
    before, after = range(max(0, start - margin + 1)), range(start + frames - 1 + margin, total)
    picked = integer(len(before) + len(after), random)
    reference = before[picked] if picked < len(before) else after[picked - len(before)]
    return Span(range(start, start + frames), reference)


class StageSamples(Dataset[Sample]):
    """Samples of one stage. `purpose` is `train` or `validation`: other draws, no augmentation."""

    def __init__(
        self,
        index: ClipIndex,
        clips: list[int],
        stage: StageSettings,
        data: DataSettings,
        seed: int,
        *,
        samples_a_step: int,
        purpose: str = "train",
    ) -> None:
        self.index, self.clips, self.stage, self.data = index, clips, stage, data
        self.seed, self.samples_a_step, self.purpose = seed, samples_a_step, purpose

    def for_validation(self, clips: list[int]) -> "StageSamples":
        """The fixed samples of a validation on `clips`."""
        return StageSamples(
            self.index,
            clips,
            self.stage,
            self.data,
            self.seed,
            samples_a_step=self.samples_a_step,
            purpose="validation",
        )

    def __getitem__(self, number: int) -> Sample:
        """Sample `number`:

        images (F, 3, H, W) and reference (3, H, W), float32 -1..1; v_kps (3, F, H, W) 0..1;
        lip_mask (F, h, w) 0 or 1; audio (F, 10, E); noise (4, F, h, w) with its offset;
        image_noise (F, 4, h, w) and reference_noise (4, h, w), for the autoencoder's own
        sampling; timestep (); reference_keep (F,) and kps_keep (), 0 where dropped.
        """
        return self.sample_of(self.clip_of(number), number)

    def sample_of(self, clip: int, number: int) -> Sample:
        """The sample that `number` would be if it were of this clip."""
        random = generator(self.seed, self.stage.number, self.purpose, number)
        span = draw_span(
            self.index.clips[clip].frames, self.stage.frames, self.data.reference_margin, random
        )
        view = self._view(clip, random)
        return {
            **self.pictures(clip, span, view),
            **self.guides(clip, span.frames, view),
            **self._noise(number, random),
        }

    def clip_of(self, number: int) -> int:
        """The clip of a sample: all clips in a drawn order, then all again in another."""
        rounds, place = divmod(number, len(self.clips))
        if self.purpose != "train":
            return self.clips[place]
        random = generator(self.seed, self.stage.number, "order", rounds)
        return self.clips[int(torch.randperm(len(self.clips), generator=random)[place])]

    def _view(self, clip: int, random: torch.Generator) -> View:
        files, size = self.index.clips[clip], self.data.image_size
        if self.purpose != "train":
            return full_view(files.width, files.height, size)
        return draw_view(
            files.width,
            files.height,
            size,
            self.data.crop_scale,
            self.data.crop_ratio,
            self.data.flip,
            random,
        )

    def pictures(self, clip: int, span: Span, view: View) -> Sample:
        """`images` and `reference` of a span of a clip."""
        frames = read_frames(self.index.clips[clip].video, [*span.frames, span.reference])
        seen = torch.from_numpy(np.stack([view.picture(frame) for frame in frames]))
        images = seen.permute(0, 3, 1, 2).float() / 127.5 - 1
        return {"images": images[:-1], "reference": images[-1]}

    def guides(self, clip: int, frames: range, view: View) -> Sample:
        """`v_kps`, `lip_mask` and `audio` of some frames of a clip."""
        files, size = self.index.clips[clip], self.data.image_size
        drawn = draw_all(view.v_kps(self.index.kps(clip, frames)), size, size)
        boxes = view.boxes(self.index.lip_boxes(clip, frames))
        masks = np.stack([lip_mask(box, size, size, LATENT_CELL) for box in boxes])
        vectors = read_vectors(Path(files.sound))
        return {
            "v_kps": torch.from_numpy(drawn).permute(3, 0, 1, 2).float() / 255,
            "lip_mask": torch.from_numpy(masks),
            "audio": vectors_of_frames(vectors, files.frames, frames),
        }

    def _noise(self, number: int, random: torch.Generator) -> Sample:
        stage, side = self.stage, self.data.image_size // LATENT_CELL
        step = number // self.samples_a_step
        shape = (LATENT_CHANNELS, stage.frames, side, side)
        offset = torch.randn(LATENT_CHANNELS, 1, 1, 1, generator=random)
        drops = torch.rand(stage.frames, generator=random) < rate_at(stage.reference_drop, step)
        kps_dropped = chance(rate_at(stage.kps_drop, step), random)
        sample = {
            "timestep": torch.tensor(integer(TIMESTEPS, random)),
            "noise": torch.randn(shape, generator=random) + stage.noise_offset * offset,
            "image_noise": torch.randn(stage.frames, 4, side, side, generator=random),
            "reference_noise": torch.randn(4, side, side, generator=random),
            "reference_keep": 1 - drops.float(),
            "kps_keep": torch.tensor(0.0 if kps_dropped else 1.0),
        }
        return sample if self.purpose == "train" else self._fixed(number, sample)

    def _fixed(self, number: int, sample: Sample) -> Sample:
        """Validation: timesteps spread evenly, nothing dropped."""
        count = self.data.validation_samples
        timestep = int((number % count + 0.5) * TIMESTEPS / count)
        return {
            **sample,
            "timestep": torch.tensor(timestep),
            "reference_keep": torch.ones(self.stage.frames),
            "kps_keep": torch.tensor(1.0),
        }


class StepSampler(Sampler[list[int]]):
    """Numbers of the samples of one worker, a list a backward pass, from `first_step` on."""

    def __init__(self, stage: StageSettings, rank: int, workers: int, first_step: int) -> None:
        self.stage, self.rank, self.workers, self.first_step = stage, rank, workers, first_step

    def __iter__(self) -> Iterator[list[int]]:
        batch, all_workers = self.stage.batch, self.stage.batch * self.workers
        passes = range(
            self.first_step * self.stage.accumulate, self.stage.steps * self.stage.accumulate
        )
        for number in passes:
            start = number * all_workers + self.rank * batch
            yield list(range(start, start + batch))

    def __len__(self) -> int:
        return (self.stage.steps - self.first_step) * self.stage.accumulate


def is_unconditional(stage: StageSettings, seed: int, step: int) -> bool:
    """Whether a step sees no condition: the same answer in every worker, without asking."""
    random = generator(seed, stage.number, "unconditional", step)
    return chance(rate_at(stage.unconditional, step), random)


def read_frames(video: str, numbers: list[int]) -> np.ndarray:
    """Some frames of a clip, RGB uint8 (F, H, W, 3); decodes no more than it must.

    Raises ClipError when the clip is missing, damaged or shorter.
    """
    try:
        reader: Any = decord.VideoReader(video, num_threads=1)
        return reader.get_batch(numbers).asnumpy()
    except (decord.DECORDError, OSError, RuntimeError, IndexError) as error:
        found = "is missing" if not Path(video).is_file() else "cannot be decoded"
        raise ClipError(
            f"{video} {found}: expected frames up to {max(numbers)}. ({first_line(error)}) "
            "Make the clip again, or leave it out with `where`."
        ) from error
