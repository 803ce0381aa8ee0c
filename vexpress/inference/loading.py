"""Put a pipeline together from what a user asks for."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from vexpress.errors import MissingWeightsError, SettingsError
from vexpress.faces.backends import load_face_detector
from vexpress.faces.points import FaceDetector
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.random_model import tiny_pipeline
from vexpress.inference.settings import Dtype, ModelPreset, Solver
from vexpress.inference.solvers import make_scheduler
from vexpress.weights.published import check_complete, naming

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def load_pipeline(
    model: ModelPreset = "published",
    weights: Path | None = None,
    dtype: Dtype = "auto",
    devices: Sequence[str] = (),
    solver: Solver = Solver.DDIM,
    preview: Path | None = None,
    parts: Mapping[str, Path] | None = None,
) -> VExpressPipeline:
    """Load the networks onto the first device (the GPU where there is one).

    `dtype`: fp32, fp16, bf16, or auto: fp16 on a GPU, else fp32. `preview`: folder of a
    tiny autoencoder. `parts`: as in `vexpress.weights.catalogue.locate`. Raises WeightsError or
    SettingsError.
    """
    device = torch.device(devices[0] if devices else _best_device())
    _check_device(device)
    number = DTYPES[dtype if dtype != "auto" else "fp16" if device.type == "cuda" else "fp32"]
    if number == torch.float16 and device.type == "cpu":
        raise SettingsError("dtype fp16 is for GPUs; on the CPU take fp32 or bf16")
    if model == "tiny":
        pipeline = tiny_pipeline()
        if number != torch.float32:
            pipeline.to(number)
    else:
        pipeline = VExpressPipeline.from_published(weights, number, parts)
    pipeline.scheduler = make_scheduler(solver)
    if preview:
        pipeline.register_modules(preview_vae=_load_preview(preview).to(number))
    return pipeline.to(device)


def choose_devices(
    named: Sequence[str], gpu: int | None = None, all_gpus: bool = False
) -> tuple[str, ...]:
    """Devices named one by one, or one GPU by number, or all GPUs; empty: the best there is."""
    if not all_gpus:
        return tuple(named) if gpu is None else (f"cuda:{gpu}",)
    found = tuple(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if not found:
        raise SettingsError("all GPUs: torch finds none here; take the device cpu")
    return found


def detector_for(face_model: str, weights: Path | None) -> FaceDetector:
    """insightface where the pack is at hand (also in the published layout), else dlib.

    `face_model`: name of a pack, folder of one, or insightface's folder with `buffalo_l`.
    """
    packs = [Path(face_model) / "models/buffalo_l"]
    for folder in (weights, weights and weights / "model_ckpts"):
        packs += [folder / "insightface_models/models" / face_model] if folder else []
    for pack in packs:
        if pack.is_dir():
            return load_face_detector("insightface", str(pack))
    return load_face_detector("auto", face_model, weights)


def _load_preview(folder: Path) -> AutoencoderTiny:
    if not (folder / "config.json").is_file():
        raise MissingWeightsError(
            f"preview_vae {folder}: expected a diffusers folder of an AutoencoderTiny, such as a "
            "download of madebyollin/taesd"
        )
    with naming(folder):
        vae, info = AutoencoderTiny.from_pretrained(
            folder, local_files_only=True, output_loading_info=True
        )
    check_complete(folder, vae, info)
    return vae.eval()


def _best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_device(device: torch.device) -> None:
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingsError(f"device {device}: torch finds no GPU here; take the device cpu")
