"""Settings of the flows that have those of others in them: a training, a pipeline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.model import Model
from vexpress.schemas.settings import Tree, load_settings, rename
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.presets import read_preset
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.pipeline import DataGate
from vexpress.tasks.train.settings import make_settings, preset_tree
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
    return make_settings(given.get("preset", "full"), rename(given, TrainSettings))


TrainForm = Annotated[TrainSettings, BeforeValidator(complete), Partly()]
"""Settings of a run; what is not given is as in the preset."""


class PipelineSettings(Model):
    """Settings of a pipeline: those of its steps, in groups."""

    curate: CurateConfig = CurateConfig()
    """Curation."""
    train: TrainSettings
    """Training."""
    gate: DataGate = DataGate()
    """What the data set must be like before training starts."""
    generate: GenerateConfig = GenerateConfig()
    """Generation."""


def load_train(
    preset: str | None, file: Path | None, options: Tree, single: list[str]
) -> TrainSettings:
    """Return the settings of a training; without `preset` the file's counts, else `full`.

    Raises ConfigError that names each wrong key.
    """
    named = {"preset": preset} if preset else {}
    return load_settings(TrainSettings, preset_tree, file, {**options, **named}, single)


def load_pipeline(
    thresholds: str, sizes: str | None, file: Path | None, single: list[str]
) -> PipelineSettings:
    """Return the settings of a pipeline: presets of curation and of training, overlaid.

    Raises ConfigError that names each wrong key.
    """

    def presets(given: Tree) -> Tree:
        return {"curate": read_preset(thresholds), "train": preset_tree(given.get("train"))}

    named = {"train": {"preset": sizes}} if sizes else {}
    return load_settings(PipelineSettings, presets, file, named, single)


def parse_stages(text: str) -> list[int]:
    """Return the stages of `1,2`."""
    parts = [part.strip() for part in text.split(",")]
    known = [name.removeprefix("stage_") for name in STAGE_NAMES]
    if not all(part in known for part in parts):
        raise ConfigError(f"--stages {text}: expected some of {','.join(known)}, such as 1,2")
    return [int(part) for part in parts]
