"""The configuration of `curate`: the settings of every step, by the step's name; presets."""

from collections.abc import Sequence
from pathlib import Path

from vexpress.schemas.row import Model, formerly
from vexpress.schemas.settings import Tree, load_settings
from vexpress.tasks.curate.across.duplicates import DuplicateConfig
from vexpress.tasks.curate.across.persons import PersonConfig
from vexpress.tasks.curate.clips import ClipConfig
from vexpress.tasks.curate.crop import CropConfig
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.curate.features import FeatureConfig
from vexpress.tasks.curate.filter import KeepRules, PreFilterRules
from vexpress.tasks.curate.presets import USUAL, read_preset
from vexpress.tasks.curate.probe import ProbeConfig
from vexpress.tasks.curate.scenes import SceneConfig
from vexpress.tasks.curate.scores.identity import IdentityConfig
from vexpress.tasks.curate.scores.image_quality import ImageQualityConfig
from vexpress.tasks.curate.scores.measure import AddedScores
from vexpress.tasks.curate.scores.quality import QualityConfig
from vexpress.tasks.curate.sound import SoundConfig
from vexpress.tasks.curate.speech.transcribe import SpeechConfig
from vexpress.tasks.curate.sync import SyncConfig
from vexpress.tasks.curate.track import TrackConfig
from vexpress.tasks.curate.vad import VadConfig
from vexpress.tasks.engine.engine import EngineConfig


class ChainConfig(Model):
    """Settings of the steps that version 0.1 had."""

    probe: ProbeConfig = ProbeConfig()
    """What is asked of a file before anything else."""
    scenes: SceneConfig = SceneConfig()
    """Where one scene ends and the next begins."""
    faces: FaceConfig = FaceConfig()
    """What finds faces."""
    vad: VadConfig = formerly("listen", "vad", VadConfig())
    """What counts as speech when a long segment is cut in pauses."""
    track: TrackConfig = formerly("follow", "track", TrackConfig())
    """What makes detections one face, and which faces count."""
    clips: ClipConfig = ClipConfig()
    """How long a clip may be."""
    crop: CropConfig = CropConfig()
    """The recipe of a clip."""
    quality: QualityConfig = QualityConfig()
    """How the picture is scored."""
    image_quality: ImageQualityConfig = ImageQualityConfig()
    """Which network scores pictures."""
    identity: IdentityConfig = IdentityConfig()
    """What makes a vector of a face."""
    sync: SyncConfig = SyncConfig()
    """What tells whether sound and lips are in time, and what is done about it."""
    sound: SoundConfig = SoundConfig()
    """What counts as speech."""
    speech: SpeechConfig = SpeechConfig()
    """What transcribes."""
    features: FeatureConfig = FeatureConfig()
    """What makes audio features."""
    pre_filter: PreFilterRules = formerly("floor", "pre_filter", PreFilterRules())
    """What is cropped and measured at all."""
    keep: KeepRules = KeepRules()
    """Thresholds: what a clip must be like to be kept."""
    duplicates: DuplicateConfig = DuplicateConfig()
    """What counts as a copy of another clip."""
    persons: PersonConfig = PersonConfig()
    """What counts as the same person."""
    engine: EngineConfig = EngineConfig()
    """Where the work runs."""


class CurateConfig(AddedScores, ChainConfig):
    """Settings of every step, by the step's name."""


def load_config(
    preset: str = USUAL,
    file: Path | None = None,
    settings: Sequence[str] | None = None,
    options: Tree | None = None,
) -> CurateConfig:
    """Return preset, overlaid by a YAML file, by options, by `step.key=value` settings.

    Raises ConfigError that names each wrong key, what it expects and what it found.
    """
    return load_settings(CurateConfig, lambda _: read_preset(preset), file, options, settings or ())
