"""Put a pipeline together from what a user asks for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from diffusers import AutoencoderTiny

from vexpress.errors import MissingWeightsError, SettingsError
from vexpress.face_points import FaceDetector, load_face_detector
from vexpress.pipeline import VExpressPipeline
from vexpress.random_model import tiny_pipeline
from vexpress.solvers import Solver, make_scheduler

Model = Literal["published", "tiny"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load_pipeline(
    model: Model = "published",
    weights: Path | None = None,
    dtype: str = "auto",
    devices: Sequence[str] = (),
    solver: str = Solver.DDIM,
    preview: Path | None = None,
) -> VExpressPipeline:
    """Load the networks onto the first device (the GPU where there is one).

    `dtype`: fp32, fp16, bf16, or auto: fp16 on a GPU, else fp32. `preview`: folder of a
    tiny autoencoder. Raises WeightsError or SettingsError.
    """
    device = torch.device(devices[0] if devices else _best_device())
    _check_device(device)
    number = DTYPES[dtype if dtype != "auto" else "fp16" if device.type == "cuda" else "fp32"]
    if number == torch.float16 and device.type == "cpu":
        raise SettingsError("--dtype fp16 is for GPUs; on the CPU take fp32 or bf16")
    if model == "tiny":
        pipeline = tiny_pipeline()
        if number != torch.float32:
            pipeline.to(number)
    else:
        pipeline = VExpressPipeline.from_published(weights, number)
    pipeline.scheduler = make_scheduler(Solver(solver))
    if preview:
        pipeline.register_modules(preview_vae=_load_preview(preview).to(number))
    return pipeline.to(device)


def detector_for(face_model: str, weights: Path | None) -> FaceDetector:
    """insightface where the pack is at hand (also in the published layout), else dlib."""
    for folder in (weights, weights and weights / "model_ckpts"):
        pack = folder and folder / "insightface_models/models" / face_model
        if pack and pack.is_dir():
            return load_face_detector("insightface", str(pack))
    return load_face_detector("auto", face_model, weights)


def _load_preview(folder: Path) -> AutoencoderTiny:
    try:
        return AutoencoderTiny.from_pretrained(folder, local_files_only=True).eval()
    except (OSError, ValueError) as error:
        raise MissingWeightsError(
            f"--preview {folder}: expected a diffusers folder of an AutoencoderTiny, such as a "
            f"download of madebyollin/taesd. ({error})"
        ) from error


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_device(device: torch.device) -> None:
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"--device {device}: torch finds no GPU here; take --device cpu")
