"""Which weights make the videos, and a digest of all that is in them."""

import hashlib
from pathlib import Path

from vexpress.hashes import sha256
from vexpress.inference.loading import detector_for
from vexpress.inference.random_model import tiny_pipeline
from vexpress.inference.settings import ModelChoice
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.tasks.engine.weights import file_digest
from vexpress.weights.catalogue import TABLE, Places, locate

RANDOM = "random weights, no licence needed"


class UsedWeights(Model):
    """What goes into `request_id` and into every row."""

    name: str
    """`tiny`, or where the weights were found."""
    sha256: str
    """SHA-256 over the contents of all weights, the face model's too."""
    licence: str
    """Their licences."""
    files: list[str]
    """The files."""
    faces: str
    """The face detector."""


def used_weights(choice: ModelChoice, folder: Path | None) -> UsedWeights:
    """Find and read the weights. Raises MissingWeightsError where there are none."""
    detector = detector_for(choice.face_model, folder)
    preview = _files(Path(choice.preview_vae)) if choice.preview_vae else []
    if choice.preview_vae and not preview:
        raise ConfigError(f"model.preview_vae: expected a folder, found none: {choice.preview_vae}")
    extra = [*detector.weights, *preview]
    if choice.preset == "tiny":
        parts, name, licence, files = [_random_digest()], "tiny", RANDOM, []
    else:
        places = locate(folder)
        files = files_of(places)
        parts = [file_digest(files)]
        name = str(folder) if folder else str(places.networks["denoising_unet"].parent)
        licence = "; ".join(f"{entry.name}: {entry.licence}" for entry in TABLE)
    parts.append(file_digest(extra))
    return UsedWeights(
        name=name,
        sha256=sha256("".join(parts).encode()),
        licence=f"{licence}; {detector.licence}",
        files=[str(file) for file in [*files, *extra]],
        faces=detector.name,
    )


def files_of(places: Places) -> list[Path]:
    """Every file of a complete set of weights."""
    files = [*places.networks.values(), *_files(places.vae), *_files(places.audio_encoder)]
    return files + ([places.unet_config] if places.unet_config else [])


def _files(folder: Path) -> list[Path]:
    """Configuration and weights of a pretrained folder."""
    suffixes = (".json", ".safetensors", ".bin", ".txt")
    return sorted(p for p in folder.glob("*") if p.suffix in suffixes and p.is_file())


def _random_digest() -> str:
    """The random weights depend on the installed torch: what counts is what they are."""
    pipeline = tiny_pipeline()
    total = hashlib.sha256()
    for name in sorted(pipeline.components):
        part = pipeline.components[name]
        for key, tensor in getattr(part, "state_dict", dict)().items():
            total.update(f"{name}.{key}".encode())
            total.update(tensor.contiguous().numpy().tobytes())
    return total.hexdigest()
