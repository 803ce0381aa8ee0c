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
    numbers = [stage] if stage else [3, 2, 1]
    done = [run / f"stage_{n}" for n in numbers if (run / f"stage_{n}/done.json").is_file()]
    if not done:
        raise ConfigError(
            f"{run}: expected a finished stage{f' {stage}' if stage else ''}, found none. "
            "Finish it with vexpress train."
        )
    mean = done[0] / "weights_mean"
    source = mean if mean.is_dir() else done[0] / "weights"
    write_networks(folder, saved_networks(source / "v-express"), ".bin")
    for name in BESIDE:
        found = pretrained_in(beside, name) if beside else None
        if found and not (folder / name).exists():
            shutil.copytree(found, folder / name)
    return folder
