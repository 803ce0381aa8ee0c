"""Which weights V-Express needs, where they come from, and where they are found.

Looked for in this order: a path given for the part itself, the folder given (else that of
`VEXPRESS_WEIGHTS`), the hub cache of this machine, a download. The published layout:

    model_ckpts/
    ├── v-express/                reference_net, denoising_unet, motion_module,
    │                             v_kps_guider, audio_projection (.safetensors, .bin or .pth)
    ├── stable-diffusion-v1-5/    unet/config.json, for the number of heads
    ├── sd-vae-ft-mse/            diffusers folder
    ├── wav2vec2-base-960h/       transformers folder
    └── insightface_models/       models/buffalo_l

`model_ckpts/` itself, the folder above it, and a clone of the hub repository (where the
five files lie at the top) are all understood.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vexpress.errors import MissingWeightsError


@dataclass(frozen=True)
class WeightsEntry:
    """One entry of the table: what it is, which hub repository has it, its licence.

    The sha256 of the published files is not known here: none of them was at hand. What a
    run used is recorded with its own digest instead.
    """

    name: str
    repository: str
    files: tuple[str, ...]
    licence: str


TABLE = (
    WeightsEntry(
        "v-express",
        "tk93/V-Express",
        (
            "reference_net.bin",
            "denoising_unet.bin",
            "motion_module.bin",
            "v_kps_guider.bin",
            "audio_projection.bin",
        ),
        "research only",
    ),
    WeightsEntry("sd-vae-ft-mse", "stabilityai/sd-vae-ft-mse", ("*.json", "*.safetensors"), "MIT"),
    WeightsEntry(
        "wav2vec2-base-960h",
        "facebook/wav2vec2-base-960h",
        ("*.json", "*.safetensors"),
        "Apache-2.0",
    ),
)
NETWORKS = ("reference_net", "denoising_unet", "v_kps_guider", "audio_projection")
FILES = (*NETWORKS, "motion_module")
SUFFIXES = (".safetensors", ".bin", ".pth")
"""Of weight files, the one that is taken first first."""
UNET_CONFIG = "stable-diffusion-v1-5/unet/config.json"


@dataclass(frozen=True)
class Places:
    """Folders and files of a complete set of weights."""

    networks: dict[str, Path]
    """File of each V-Express network, and of `motion_module` where there is one."""
    vae: Path
    audio_encoder: Path
    unet_config: Path | None
    """Stable Diffusion's `unet/config.json`, where there is one."""


def locate(folder: Path | None = None, parts: Mapping[str, Path] | None = None) -> Places:
    """Find a complete set.

    `parts`: paths of single parts, which go before what the folder holds: any of `FILES`
    (a file), `vae` and `audio_encoder` (a folder), `unet_config` (a file). Raises
    MissingWeightsError, which says what is missing and how to get it.
    """
    parts = parts or {}
    for name, path in parts.items():
        if not path.exists():
            raise MissingWeightsError(f"weights of {name}: expected them at {path}, found none")
    given = weights_folder(folder)
    if given is not None:
        return _in_folder(given, parts)
    if {*NETWORKS, "vae", "audio_encoder"} <= set(parts):
        return Places(_files(parts), parts["vae"], parts["audio_encoder"], _config(parts))
    return _in_hub(parts)


def weights_folder(given: str | Path | None) -> Path | None:
    """The folder that was given, else that of VEXPRESS_WEIGHTS, else None.

    Absolute: Ray's workers start in another folder.
    """
    folder = given or os.environ.get("VEXPRESS_WEIGHTS")
    return Path(folder).expanduser().absolute() if folder else None


def _files(parts: Mapping[str, Path]) -> dict[str, Path]:
    return {name: parts[name] for name in FILES if name in parts}


def _config(parts: Mapping[str, Path]) -> Path | None:
    """`unet/config.json`, given itself or as its folder."""
    given = parts.get("unet_config")
    return given / "config.json" if given and given.is_dir() else given


def _in_folder(folder: Path, parts: Mapping[str, Path]) -> Places:
    if not folder.is_dir():
        raise MissingWeightsError(f"weights: expected a folder, found none at {folder}.\n{HOW}")
    home = networks_in(folder) or folder / "v-express"
    files = {**network_files(home), **_files(parts)}
    missing = [name for name in NETWORKS if name not in files]
    vae = parts.get("vae") or pretrained_in(folder, "sd-vae-ft-mse")
    audio = parts.get("audio_encoder") or pretrained_in(folder, "wav2vec2-base-960h")
    missing += [] if vae else ["sd-vae-ft-mse/"]
    missing += [] if audio else ["wav2vec2-base-960h/"]
    if vae is None or audio is None or missing:
        raise MissingWeightsError(f"weights in {folder}: missing {', '.join(missing)}.\n{HOW}")
    return Places(files, vae, audio, _config(parts) or find_file(folder, UNET_CONFIG))


def networks_in(folder: Path) -> Path | None:
    """Where in `folder` the V-Express files lie, in any of the layouts that are understood."""
    places = [place for root in _roots(folder) for place in (root / "v-express", root)]
    return next((p for p in places if find_weight_file(p, "denoising_unet")), None)


def pretrained_in(folder: Path, name: str) -> Path | None:
    """The pretrained folder `name` (sd-vae-ft-mse, say) in any of the layouts."""
    config = find_file(folder, f"{name}/config.json")
    return config.parent if config else None


def find_file(folder: Path, path: str) -> Path | None:
    """The file `path` of the published layout in any of the layouts."""
    return next((root / path for root in _roots(folder) if (root / path).is_file()), None)


def _roots(folder: Path) -> tuple[Path, Path]:
    return folder, folder / "model_ckpts"


def find_weight_file(folder: Path, stem: str) -> Path | None:
    """Return `folder/stem` with the first suffix that exists."""
    return next((p for s in SUFFIXES if (p := folder / f"{stem}{s}").is_file()), None)


def network_files(folder: Path) -> dict[str, Path]:
    """The V-Express files that a folder holds, by published name without suffix."""
    found = {name: find_weight_file(folder, name) for name in FILES}
    return {name: path for name, path in found.items() if path}


def _in_hub(parts: Mapping[str, Path]) -> Places:
    networks, vae, audio = TABLE
    home = _snapshot(networks)
    return Places(
        {**network_files(home), **_files(parts)},
        parts.get("vae") or _snapshot(vae),
        parts.get("audio_encoder") or _snapshot(audio),
        _config(parts) or find_file(home, UNET_CONFIG),
    )


def _snapshot(entry: WeightsEntry) -> Path:
    """Take a repository from the hub cache of this machine, else download it."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = [*entry.files, f"model_ckpts/{UNET_CONFIG}"]
    try:
        return Path(snapshot_download(entry.repository, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise MissingWeightsError(
            f"weights {entry.name}: not given, not in the hub cache, and {entry.repository} "
            f"cannot be downloaded from here.\n{HOW}"
        ) from error


HOW = (
    "How to get them: `vexpress weights fetch vexpress --accept --weights DIR` on a machine with "
    "internet; then name DIR as the folder of weights or set VEXPRESS_WEIGHTS=DIR. "
    "Expected in DIR (or DIR/model_ckpts): v-express/{reference_net,denoising_unet,"
    "motion_module,v_kps_guider,audio_projection}.bin (or .pth, .safetensors), "
    "sd-vae-ft-mse/, wav2vec2-base-960h/. "
    "To try it without weights: the preset tiny (random weights, no likeness)."
)
