"""The trainers that a data set can be exported for, by what `--to` calls them."""

from vexpress.tasks.export.trainer import Trainer
from vexpress.tasks.export.trainers.diffsynth import DiffSynth
from vexpress.tasks.export.trainers.hallo import Hallo
from vexpress.tasks.export.trainers.hallo3 import Hallo3
from vexpress.tasks.export.trainers.latentsync import LatentSync
from vexpress.tasks.export.trainers.musetalk import MuseTalk
from vexpress.tasks.export.trainers.stableavatar import StableAvatar
from vexpress.tasks.export.trainers.talkverse import TalkVerse
from vexpress.tasks.export.trainers.text_video import TextVideo
from vexpress.tasks.export.trainers.videox_fun import VideoXFun

TRAINERS: dict[str, type[Trainer]] = {
    kind.KIND: kind
    for kind in (
        *(VideoXFun, DiffSynth, LatentSync, MuseTalk, Hallo, Hallo3, StableAvatar, TalkVerse),
        TextVideo,
    )
}
