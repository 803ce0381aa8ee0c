"""Overfit proof: a tiny model learns two real clips by heart, through all three stages.

    PYTHONPATH=. python benchmarks/overfit.py --out FOLDER [--assets ../shared/assets]

One command, all stages one after the other, each stage's own gate applied to what it
measured; a gate that does not hold is said, and is the exit code. Prints for each clip, of
24 frames drawn from one reference frame, the clip's V-Kps and its sound: PSNR against the
truth, and that of the reference frame repeated; how far the face that a detector finds lies
from the V-Kps given, the clip's own and another clip's; where another clip's sound changes
the picture. Writes montages (truth, drawn, V-Kps) and the training report with curves,
gates and frames.

Random start weights, log-mel bands instead of wav2vec2, 64x64 pixels, and TAESD with its
decoder fitted to these pictures: at 64 pixels it is blurred otherwise.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from overfit_clips import BANDS, DECODER_STEPS, fit_decoder, write_clips
from torch.utils.data import default_collate

from vexpress.faces.backends import load_face_detector
from vexpress.faces.points import FaceDetector
from vexpress.tasks.reports.training_page import write_train_report
from vexpress.tasks.train.settings import make_settings
from vexpress.training.augmentation import full_view
from vexpress.training.autoencoder import decode
from vexpress.training.gates import check_gates
from vexpress.training.model import TrainingModel
from vexpress.training.preview import generate_window, write_preview
from vexpress.training.samples import Span
from vexpress.training.settings import TrainSettings
from vexpress.training.stage_job import StageJob
from vexpress.training.stage_run import StageRun
from vexpress.training.start_weights import random_networks, saved_networks, write_networks

CLIPS = ["3", "7"]
FRAMES = 100
START, WINDOW = 40, 24
LATENTS: dict[bytes, torch.Tensor] = {}


def settings_for(out: Path, scale: float) -> TrainSettings:
    """The published stages, shortened, with step sizes for random weights."""
    steps = [max(2, round(n * scale)) for n in (900, 600, 300)]
    tops = (2e-3, 2e-3, 5e-4)
    rates = [
        ((0, top / 10), (min(20, n // 4), top), (n // 2, top), (n, top / 10))
        for n, top in zip(steps, tops, strict=True)
    ]
    drops = {"frames": 10, "lip_weight": 30.0, "kps_drop": 0.5, "reference_drop": 0.2}
    return make_settings(
        "tiny",
        {
            "start": out / "start",
            "vae": out / "sd-vae-ft-mse",
            "data": {
                "validation_share": 0,
                "validation_samples": 6,
                "flip": 0.0,
                "loader_workers": 1,
            },
            "stage_1": {"steps": steps[0], "batch": 8, "learning_rate": rates[0]},
            "stage_2": {"steps": steps[1], "learning_rate": rates[1], **drops},
            "stage_3": {"steps": steps[2], "learning_rate": rates[2], **drops},
            "engine": {"save_every": 100_000, "validate_every": 100_000},
            # Stage 1 has learned every frame already; dropping V-Kps and weighing the lips
            # gives some of that up, so the loss with all conditions may rise after it.
            "gates": {"max_loss_ratio": 1.5},
        },
    )


def train(out: Path, settings: TrainSettings) -> bool:
    """Run all stages, print what each reached; whether all gates hold."""
    passed = True
    for number in (stage.number for stage in settings.stages):
        start, begun = time.perf_counter(), time.process_time()
        open_stage(out, settings, number).run()
        seconds, cpu = time.perf_counter() - start, time.process_time() - begun
        print(f"stage {number}: {seconds:.0f} s, {cpu:.0f} s of CPU")
        done = json.loads((out / f"stage_{number}/done.json").read_text())
        for gate in check_gates(number, done["measurements"], settings.gates):
            state = "holds" if gate.passed else "DOES NOT HOLD"
            print(f"  {gate.name} {gate.value:.4f}, expected {gate.rule}: {state}", flush=True)
            passed &= gate.passed
    return passed


def open_stage(out: Path, settings: TrainSettings, number: int) -> StageRun:
    """A stage whose autoencoder encodes each of the few hundred pictures once."""
    stage = StageRun(StageJob(run=out, number=number, settings=settings), torch.device("cpu"))
    encode, known = stage.vae.encode, LATENTS

    def encode_once(pictures: torch.Tensor) -> AutoencoderTinyOutput:
        for picture in pictures:
            if (key := picture.numpy().tobytes()) not in known:
                known[key] = encode(picture[None]).latents[0]
        return AutoencoderTinyOutput(torch.stack([known[p.numpy().tobytes()] for p in pictures]))

    stage.vae.encode = encode_once
    return stage


def window_of(stage: StageRun, clip: int) -> dict[str, torch.Tensor]:
    """A batch of one: WINDOW frames from START on, with frame 0 as the reference."""
    samples, span = stage.samples, Span(range(START, START + WINDOW), 0)
    view = full_view(64, 64, 64)
    noise = torch.randn(4, WINDOW, 8, 8, generator=torch.Generator().manual_seed(42))
    sample = {
        **samples.pictures(clip, span, view),
        **samples.guides(clip, span.frames, view),
        "kps": torch.from_numpy(samples.index.kps(clip, span.frames)),
        "noise": noise,
        "reference_noise": torch.zeros(4, 8, 8),
    }
    return default_collate([sample])


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    """Peak signal to noise of pictures -1..1, dB."""
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def main() -> None:
    """Train, generate, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--assets", type=Path, default=Path("../shared/assets"))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the steps")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # networks this small are not faster on two
    out, began = arguments.out, time.perf_counter()
    out.mkdir(parents=True)
    write_clips(arguments.assets, out, CLIPS, FRAMES)
    start = time.process_time()
    steps = max(1, round(DECODER_STEPS * arguments.scale))
    fit_decoder(arguments.assets / "models/taesd", out / "sd-vae-ft-mse", out, CLIPS, steps)
    print(f"autoencoder: {time.process_time() - start:.0f} s of CPU", flush=True)
    sizes = {"block_out_channels": (64, 128), "cross_attention_dim": 64}
    write_networks(out / "start", random_networks(0, BANDS, **sizes))
    settings = settings_for(out, arguments.scale)
    passed = train(out, settings)
    compare(out, settings, arguments.assets)
    print(f"in all {time.perf_counter() - began:.0f} s; {write_train_report(out, settings)}")
    sys.exit(0 if passed else 1)


def compare(out: Path, settings: TrainSettings, assets: Path) -> None:
    """Generate with right and wrong conditions, and print what differs."""
    stage = open_stage(out, settings, 3)
    model = TrainingModel(saved_networks(out / "stage_3/weights/v-express")).eval()
    detector = load_face_detector(
        "insightface", str(assets / "models/insightface/models/scrfd_2.5g"), min_score=0.3
    )
    for clip, name in enumerate(CLIPS):
        batch, other = window_of(stage, clip), window_of(stage, (clip + 1) % len(CLIPS))
        with_kps = {**batch, "v_kps": other["v_kps"], "kps": other["kps"]}
        ours, moved, heard = (
            generate_window(model, stage.vae, given, 20)
            for given in (batch, with_kps, {**batch, "audio": other["audio"]})
        )
        write_preview(out / f"{name}.png", batch, ours)
        write_preview(out / f"{name}_other_kps.png", with_kps, moved)
        write_preview(out / f"{name}_other_sound.png", batch, heard)
        truth = batch["images"][0]
        ceiling = decode(stage.vae, stage.vae.encode(truth).latents)
        mask = torch.nn.functional.interpolate(batch["lip_mask"][0][:, None], size=(64, 64)) > 0
        change, mask = (heard - ours).abs() * 127.5, mask.expand_as(truth)
        print(
            f"clip {name}\n"
            f"  PSNR ours {psnr(ours, truth):.2f} dB, reference repeated "
            f"{psnr(batch['reference'].expand_as(truth), truth):.2f} dB, "
            f"autoencoder alone {psnr(ceiling, truth):.2f} dB\n"
            f"  own V-Kps: face {distance(detector, ours, batch):.2f} px from them, "
            f"{distance(detector, ours, with_kps):.2f} px from the other clip's\n"
            f"  other V-Kps: face {distance(detector, moved, with_kps):.2f} px from them, "
            f"{distance(detector, moved, batch):.2f} px from its own\n"
            f"  other sound: changes the lip region by {change[mask].mean():.2f} of 255, "
            f"the rest by {change[~mask].mean():.2f}",
            flush=True,
        )


def distance(detector: FaceDetector, frames: torch.Tensor, given: dict[str, torch.Tensor]) -> float:
    """Mean distance of the points a detector finds from the V-Kps given, pixels of 64."""
    offs = []
    for frame, kps in zip(frames, given["kps"][0].numpy(), strict=True):
        rgb = ((frame.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
        large = cv2.resize(rgb[..., ::-1], (384, 384), interpolation=cv2.INTER_CUBIC)
        found = detector.detect(large)
        if found:
            points = (found[0].points[:3] + 0.5) / 6 - 0.5
            offs.append(np.linalg.norm(points - kps, axis=1).mean())
    return float(np.mean(offs)) if len(offs) >= len(frames) / 2 else float("nan")


if __name__ == "__main__":
    main()
