"""Give trained weights the published layout: `v-express/*.bin` and what belongs beside them."""

import shutil
from pathlib import Path

from vexpress.schemas.errors import ConfigError
from vexpress.training.start_weights import saved_networks, write_networks
from vexpress.weights.catalogue import pretrained_in

BESIDE = ("sd-vae-ft-mse", "wav2vec2-base-960h")


def export_weights(
    run: Path, folder: Path, stage: int | None = None, beside: Path | None = None
) -> Path:
    """Write the five published files of a stage (default: the last finished) into `folder`.

    The running mean is exported where the stage kept one. Autoencoder and audio encoder are
    copied from the folder `beside`, where they are there, so that `folder` is complete.
    Raises ConfigError when no stage is finished.
    """
    done = _finished_stages(run)
    if stage:
        done = [folder for folder in done if folder.name == f"stage_{stage}"]
    if not done:
        raise ConfigError(
            f"{run}: expected a finished stage{f' {stage}' if stage else ''}, found none. "
            "Finish it with vexpress train."
        )
    mean = done[-1] / "weights_mean"
    source = mean if mean.is_dir() else done[-1] / "weights"
    write_networks(folder, saved_networks(source / "v-express"), ".bin")
    for name in BESIDE:
        found = pretrained_in(beside, name) if beside else None
        if found and not (folder / name).exists():
            shutil.copytree(found, folder / name)
    return folder


def _finished_stages(run: Path) -> list[Path]:
    """The folders of the run's finished stages, the last one last."""
    found = [path.parent for path in run.glob("stage_*/done.json")]
    return sorted(found, key=lambda folder: int(folder.name.removeprefix("stage_")))
