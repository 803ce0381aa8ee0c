"""Training settings from a preset, a file and single settings, one laid over the other."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.settings import overlay, parse_setting, read_yaml
from vexpress.training.presets import make_settings
from vexpress.training.settings import STAGE_NAMES, TrainSettings


class Partly:
    """Says in the JSON schema that no setting has to be given: the preset has them all."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core_schema)
        settings = handler.resolve_ref_schema(schema)
        settings.pop("required", None)
        for name in STAGE_NAMES:
            stage = settings["properties"][name]
            handler.resolve_ref_schema(stage).pop("required", None)
        return schema


def complete(given: Any) -> Any:
    """Return settings from some of them, laid over the preset they name (else `full`)."""
    if not isinstance(given, Mapping):
        return given
    return make_settings(given.get("preset", "full"), given)


TrainForm = Annotated[TrainSettings, BeforeValidator(complete), Partly()]
"""Settings of a run; what is not given is as in the preset."""


def load_settings(
    preset: str,
    file: Path | None,
    single: list[str],
    given: Mapping[str, Any],
    workers: int | None,
) -> TrainSettings:
    """Return preset, overlaid by a YAML file, by `group.key=value`, by options that are given.

    Raises ConfigError or SettingsError that names the key.
    """
    tree: dict[str, Any] = read_yaml(file, "stage_1:") if file else {}
    for setting in single:
        example = "group.key=value, such as stage_2.steps=500"
        tree = overlay(tree, parse_setting(setting, example))
    tree = overlay(tree, {key: value for key, value in given.items() if value})
    if workers:
        tree = overlay(tree, {"engine": {"workers": workers}})
    return make_settings(preset, tree)


def parse_stages(text: str) -> list[int]:
    """Return the stages of `1,2`."""
    parts = [part.strip() for part in text.split(",")]
    known = [name.removeprefix("stage_") for name in STAGE_NAMES]
    if not all(part in known for part in parts):
        raise ConfigError(f"--stages {text}: expected some of {','.join(known)}, such as 1,2")
    return [int(part) for part in parts]
