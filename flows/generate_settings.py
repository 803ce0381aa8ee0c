"""Settings of batch generation from a file, from options, and one by one."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vexpress.errors import SettingsError
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.settings import overlay, parse_setting, read_yaml
from vexpress.tasks.generate.config import GenerateConfig


def load_generate_config(
    file: Path | None, settings: list[str], options: dict[str, Any]
) -> GenerateConfig:
    """Return the file's settings, overlaid by options, overlaid by `group.key=value`.

    Raises ConfigError that names what is wrong.
    """
    tree = read_yaml(file, "parameters:") if file else {}
    tree = overlay(tree, options)
    for setting in settings:
        example = "group.key=value, such as parameters.steps=15"
        tree = overlay(tree, parse_setting(setting, example))
    try:
        return GenerateConfig.model_validate(tree)
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}, found {problem['input']!r}"
            for problem in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from error
    except SettingsError as error:
        raise ConfigError(f"parameters: {error}") from error
