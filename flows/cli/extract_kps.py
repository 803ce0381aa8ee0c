"""`vexpress extract-kps`."""

from pathlib import Path
from typing import Annotated

import typer

from vexpress.flows.cli.options import WeightsOption, plain_errors


def extract_kps(
    video: Annotated[Path, typer.Argument(help="A driving video with one main face.")],
    kps: Annotated[Path, typer.Option(help="Where to write the V-Kps, such as kps.pth.")],
    audio: Annotated[
        Path | None, typer.Option(help="Where to write the sound, 16 kHz mono WAV.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="STEP.KEY=VALUE",
            help="A setting of `curate`, such as `faces.model=scrfd_2.5g`.",
        ),
    ] = None,
    weights: WeightsOption = None,
) -> None:
    """Write the V-Kps of one video in V-Express's own format: one (3, 2) array a frame.

    Points are in pixels of the picture resized to 512 x 512. The largest face of each frame
    is taken; frames without one are interpolated, and their number is said. The frame rate is
    written beside the points (`kps.pth.json`); `generate` reads it there.
    """
    with plain_errors():
        from vexpress.schemas.errors import ConfigError
        from vexpress.tasks.curate import extract_kps as work
        from vexpress.tasks.curate.config import load_config
        from vexpress.tasks.curate.faces import FaceScorer
        from vexpress.tasks.engine.step import Rejection

        try:
            faces = load_config(settings=settings).faces
            config, note = FaceScorer.resolve(faces, weights)
            typer.echo(note)
            found = work.extract_kps(video, config)
            work.save_kps(found.points, kps, found.times_s, found.fps)
            if audio:
                work.save_sound(work.extract_sound(video), audio)
        except Rejection as rejection:
            raise ConfigError(f"{video}: {rejection.detail}") from rejection
    typer.echo(
        f"{kps}: {len(found.points)} frames, {found.bridged} of them interpolated, "
        f"{found.fps:.6g} a second"
    )
