"""`vexpress config`."""

from typing import TYPE_CHECKING, Annotated

import typer

from vexpress.flows.cli.options import plain_errors, setting
from vexpress.schemas.commented import commented_yaml
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.settings import load_settings
from vexpress.tasks.curate.presets import USUAL
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.training.settings import TrainSettings

if TYPE_CHECKING:
    from pydantic import BaseModel

COMMANDS = ("curate", "train", "generate", "generate-batch", "pipeline", "evaluate")


def config(
    command: Annotated[
        str,
        typer.Argument(
            metavar=f"[{'|'.join(COMMANDS)}]",
            autocompletion=lambda: list(COMMANDS),
            help="Whose settings to print.",
            show_default=False,
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(help="Settings to start from, as the command's own.", show_default=False),
    ] = None,
    train_preset: Annotated[str | None, setting(TrainSettings, "preset", "--train-preset")] = None,
) -> None:
    """Print all settings of a command as a YAML file, each with what it means.

    Change what you like and give the file back with `--config`; what you take out is as in the
    preset.

    Examples:

        vexpress config curate --preset strict > curate.yaml

        vexpress config pipeline --preset permissive --train-preset tiny > pipeline.yaml
    """
    with plain_errors():
        typer.echo(commented_yaml(settings_of(command, preset, train_preset)), nl=False)


def settings_of(command: str, preset: str | None, train_preset: str | None) -> "BaseModel":
    """Return all settings of a command with its preset. Raises ConfigError."""
    from vexpress.flows.settings import load_pipeline, load_train
    from vexpress.tasks.curate.config import load_config
    from vexpress.tasks.evaluate.plan import EvaluateConfig

    if train_preset and command != "pipeline":
        raise ConfigError("--train-preset: expected the command pipeline, found " + command)
    if command == "curate":
        return load_config(preset or USUAL)
    if command == "train":
        return load_train(preset, None, {}, [])
    if command == "pipeline":
        return load_pipeline(preset or USUAL, train_preset, None, [])
    if command in ("generate", "generate-batch"):
        named = {"preset": preset} if preset else {}
        return load_settings(GenerateConfig, options={"model": named})
    if command != "evaluate":
        raise ConfigError(f"config {command}: expected one of {', '.join(COMMANDS)}")
    if preset:
        raise ConfigError("--preset: evaluate has none")
    return EvaluateConfig()
