"""`vexpress extract-kps`."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.options import WeightsOption, plain_errors


def extract_kps(
    video: Annotated[Path, typer.Argument(help="A driving video with one main face.")],
    kps: Annotated[Path, typer.Option(help="Where to write the V-Kps, such as kps.pth.")],
    audio: Annotated[
        Path | None, typer.Option(help="Where to write the sound, 16 kHz mono WAV.")
    ] = None,
    backend: Annotated[str, typer.Option(help="auto, insightface or dlib.")] = "auto",
    model: Annotated[str, typer.Option(help="insightface pack or folder.")] = "buffalo_l",
    weights: WeightsOption = None,
) -> None:
    """Write the V-Kps of one video in V-Express's own format: one (3, 2) array a frame.

    Points are in pixels of the picture resized to 512 x 512. The largest face of each frame
    is taken; frames without one are interpolated, and their number is said.
    """
    from flows.embedded import prepare

    prepare()
    from pydantic import ValidationError

    from flows.config import explain
    from schemas.errors import ConfigError
    from tasks import extract_kps as work
    from tasks.faces import FaceConfig, resolve_backend
    from tasks.step import Rejection

    with plain_errors():
        try:
            config = FaceConfig.model_validate({"backend": backend, "model": model})
            config, note = resolve_backend(config, weights)
            typer.echo(note)
            points, bridged = work.extract_kps(video, config)
            work.save_kps(points, kps)
            if audio:
                work.save_sound(work.extract_sound(video), audio)
        except Rejection as rejection:
            raise ConfigError(f"{video}: {rejection.detail}") from rejection
        except ValidationError as error:
            raise ConfigError(explain(error)) from error
    typer.echo(f"{kps}: {len(points)} frames, {bridged} of them interpolated")
