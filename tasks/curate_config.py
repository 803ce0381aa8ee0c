"""The configuration of `curate`: the settings of every step, by the step's name."""

from schemas.row import Model
from tasks.crop import CropConfig
from tasks.duplicates import DuplicateConfig
from tasks.engine import EngineConfig
from tasks.face_identity import IdentityConfig
from tasks.faces import FaceConfig
from tasks.features import FeatureConfig
from tasks.follow import FollowConfig
from tasks.image_quality import ImageQualityConfig
from tasks.judge import FloorRules, KeepRules
from tasks.listen import ListenConfig
from tasks.persons import PersonConfig
from tasks.plan import ClipConfig
from tasks.probe import ProbeConfig
from tasks.quality import QualityConfig
from tasks.scenes import SceneConfig
from tasks.sound import SoundConfig
from tasks.speech import SpeechConfig
from tasks.sync import SyncConfig


class CurateConfig(Model):
    """Settings of every step, by the step's name."""

    probe: ProbeConfig = ProbeConfig()
    """What is asked of a file before anything else."""
    scenes: SceneConfig = SceneConfig()
    """Where one scene ends and the next begins."""
    faces: FaceConfig = FaceConfig()
    """What finds faces."""
    listen: ListenConfig = ListenConfig()
    """What counts as speech when a long stretch is cut in pauses."""
    follow: FollowConfig = FollowConfig()
    """What makes detections one face, and which faces count."""
    clips: ClipConfig = ClipConfig()
    """How long a clip may be."""
    crop: CropConfig = CropConfig()
    """The recipe of a clip."""
    quality: QualityConfig = QualityConfig()
    """How the picture is scored."""
    image_quality: ImageQualityConfig = ImageQualityConfig()
    """Which network judges pictures."""
    identity: IdentityConfig = IdentityConfig()
    """What makes a vector of a face."""
    sync: SyncConfig = SyncConfig()
    """What judges whether sound and lips are in time, and what is done about it."""
    sound: SoundConfig = SoundConfig()
    """What counts as speech."""
    speech: SpeechConfig = SpeechConfig()
    """What transcribes."""
    features: FeatureConfig = FeatureConfig()
    """What makes audio features."""
    floor: FloorRules = FloorRules()
    """What is cropped and measured at all."""
    keep: KeepRules = KeepRules()
    """Thresholds: what a clip must be like to be kept."""
    duplicates: DuplicateConfig = DuplicateConfig()
    """What counts as a copy of another clip."""
    persons: PersonConfig = PersonConfig()
    """What counts as the same person."""
    engine: EngineConfig = EngineConfig()
    """Where the work runs."""
