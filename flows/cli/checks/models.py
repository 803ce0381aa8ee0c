"""Models that curation, training and generation need: speech, faces, features, V-Express."""

import importlib.util
from pathlib import Path

from vexpress.flows.cli.checks.check import INSTALL, Check, Setup, line
from vexpress.schemas.versions import version_of


def check_speech(setup: Setup) -> list[Check]:
    """Silero VAD, by running it over a second of silence."""
    import numpy as np

    from vexpress.tasks.curate.sound import RATE, speech_share

    share = speech_share(np.zeros(RATE, np.float32), threshold=0.5)
    found = f"faster-whisper {version_of('faster-whisper')}, hears {share:.0%} speech in silence"
    vad = line("speech (Silero VAD)", found, good=share == 0, todo=INSTALL)
    return [vad, *_transcription(setup.weights)]


def _transcription(weights: Path | None) -> list[Check]:
    """Both back ends of transcription; neither is needed."""
    from vexpress.schemas.errors import ConfigError
    from vexpress.tasks.curate.speech.transcribe import (
        PREFIX,
        SpeechConfig,
        find_whisperx,
        resolve_speech,
    )

    chosen, said = resolve_speech(SpeechConfig(), weights)
    try:
        whisperx = " ".join(map(str, reversed(find_whisperx(None))))
    except ConfigError:
        whisperx = ""
    return [
        line(
            "transcription (faster-whisper)",
            chosen.model or said.removeprefix("speech: "),
            good=chosen.model is not None,
            needed=False,
            todo=f"to have words in the data set: hf download Systran/{PREFIX}small "
            f"--local-dir WEIGHTS/{PREFIX}small",
        ),
        line(
            "transcription (whisperx)",
            whisperx or "no environment",
            good=bool(whisperx),
            needed=False,
            todo="only for speech.backend=whisperx: make whisperx, or name VEXPRESS_WHISPERX",
        ),
    ]


def check_faces(setup: Setup) -> list[Check]:
    """Face back ends; one of them is enough."""
    from vexpress.faces.points import find_insightface
    from vexpress.tasks.curate.faces import PACKS

    folders = [find_insightface(pack, setup.weights) for pack in PACKS]
    here = [str(folder) for folder in folders if folder]
    dlib = has_dlib()
    return [
        line(
            "faces (insightface)",
            "; ".join(here) or f"none of {', '.join(PACKS)}",
            good=bool(here),
            needed=not dlib,
            todo=f"put one at WEIGHTS/insightface/models/{PACKS[0]}, or let `vexpress curate --set "
            "faces.backend=insightface` fetch it from github.com; without one dlib is used",
        ),
        line(
            "faces (dlib)",
            "HOG detector, 68 landmarks" if dlib else "not installed",
            good=dlib,
            needed=not here,
            todo="pip install dlib-bin face-recognition-models",
        ),
    ]


def has_dlib() -> bool:
    """Return whether dlib and its landmark model are installed."""
    from vexpress.errors import FaceModelError
    from vexpress.faces.points import dlib_model

    try:
        landmarks = dlib_model("shape_predictor_68_face_landmarks.dat")
    except FaceModelError:
        return False
    return landmarks.is_file() and importlib.util.find_spec("dlib") is not None


def check_weights(setup: Setup) -> list[Check]:
    """Weights of audio features, scene detection and V-Express."""
    from vexpress.tasks.curate.features import FeatureConfig, resolve_features
    from vexpress.weights.catalogue import TABLE

    given = setup.weights
    features, said = resolve_features(FeatureConfig(), given)
    model = FeatureConfig().model
    transnet = (given or Path("WEIGHTS")) / "transnetv2" / "transnetv2.onnx"
    lines = [] if given is None else [_folder(given)]
    return [
        *lines,
        line(
            "audio features",
            features.model or said.removeprefix("features: "),
            good=features.model is not None,
            needed=False,
            todo=f"to have them in the data set: hf download facebook/{model} --local-dir "
            f"WEIGHTS/{model}",
        ),
        line(
            "scenes (TransNetV2)",
            str(transnet) if transnet.is_file() else f"no {transnet}",
            good=transnet.is_file(),
            needed=False,
            todo="only for --set scenes.detector=transnet; the default detector needs no weights",
        ),
        *(_vexpress_part(entry.name, entry.repository, given) for entry in TABLE),
    ]


def _folder(weights: Path) -> Check:
    found = str(weights) if weights.is_dir() else f"{weights} is no folder"
    return line("weights folder", found, good=weights.is_dir(), todo="give the folder that exists")


def _vexpress_part(name: str, repository: str, weights: Path | None) -> Check:
    """One entry of the table of weights: in the folder given, else in the hub cache."""
    from vexpress.weights.catalogue import NETWORKS, network_files

    roots = [weights, weights / "model_ckpts"] if weights else _hub_snapshot(repository)
    if name == "v-express":
        folders = [folder for root in roots for folder in (root / name, root)]
        held = max((network_files(folder) for folder in folders), key=len, default={})
        absent = sorted(set(NETWORKS) - set(held))
        found = ", ".join(sorted(held)) if held else "none of its files"
        found += f"; missing {', '.join(absent)}" if held and absent else ""
    else:
        places = [place for root in roots for place in (root / name, root)]
        configs = [p / "config.json" for p in places if (p / "config.json").is_file()]
        found, absent = (str(configs[0].parent), []) if configs else ("none", ["config.json"])
    return line(
        "V-Express networks" if name == "v-express" else f"V-Express {name}",
        found,
        good=not absent,
        needed=False,
        todo=f"to train and generate: hf download {repository} --local-dir WEIGHTS"
        + ("" if name == "v-express" else f"/{name}"),
    )


def _hub_snapshot(repository: str) -> list[Path]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return [Path(snapshot_download(repository, local_files_only=True))]
    except LocalEntryNotFoundError:
        return []
