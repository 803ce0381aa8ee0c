"""The demo's input: a handful of rendered videos with known truth, about 70 seconds in all."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import cv2

from tests.talking_heads.render import render
from tests.talking_heads.script import Face, Shot, Speech, VideoFormat

LINES = (
    "The ferry left the harbour before sunrise, and most of the town was still asleep.",
    "Nobody expected the old lighthouse to be open, but the door stood wide.",
    "We counted eleven boats, three of them painted green, and one without a name.",
    "By noon the wind had turned, so the fishermen carried their nets back up the hill.",
    "Please keep the window closed, or the papers will be all over the floor again.",
    "If it rains on Thursday, the market moves into the long hall behind the station.",
)
MAN = "en-us+m3"


def interview(folder: Path) -> None:
    """Six shots, five hard cuts: one face, none, two, a silent one, one, a far one."""
    pair = (
        Face(identity="astronaut", width_px=215, x=0.26, y=0.5),
        Face(identity="mirrored", width_px=215, x=0.74, y=0.5),
    )
    far = Face(identity="narrow", width_px=80, x=0.35, y=0.56, sway_px=6)
    shots = [
        Shot(duration_s=7, faces=(Face(),), speech=_say(LINES[0])),
        Shot(duration_s=3, background="rocket", pan_px=60, speech=_say(LINES[1], speaker=None)),
        Shot(duration_s=5, faces=pair, background="wall", speech=_say(LINES[1], speaker=1)),
        Shot(duration_s=5, faces=(Face(identity="mirrored", x=0.45),), background="office"),
        Shot(
            duration_s=7,
            faces=(Face(identity="narrow", width_px=270, y=0.5, zoom=1.12),),
            background="wall",
            speech=_say(LINES[2], voice=MAN),
        ),
        Shot(duration_s=4, faces=(far,), background="studio", speech=_say(LINES[4], voice=MAN)),
    ]
    render(shots, folder / "interview.mp4")


def talking_head(folder: Path) -> None:
    """One shot, one face, one voice."""
    speech = (*_say(LINES[3]), *_say("Thank you.", start_s=6.2))
    shot = Shot(duration_s=8, faces=(Face(width_px=300, x=0.52),), speech=speech)
    render([shot], folder / "talking_head.mp4")


def fade(folder: Path) -> None:
    """Two shots joined by a fade through black."""
    shots = [
        Shot(
            duration_s=6,
            faces=(Face(identity="mirrored"),),
            speech=_say(LINES[4]),
            fade_out_s=0.8,
        ),
        Shot(
            duration_s=6,
            faces=(Face(identity="astronaut", x=0.55),),
            background="office",
            speech=_say(LINES[5], start_s=0.9),
            fade_in_s=0.8,
        ),
    ]
    render(shots, folder / "fade.mp4")


def thirty_fps(folder: Path) -> None:
    """One shot at 30 frames per second with a small framed portrait beside the speaker."""
    inset = Face(identity="astronaut", width_px=60, x=0.1, y=0.8, framed=True)
    speaker = Face(identity="narrow", width_px=280, x=0.55, y=0.5)
    shot = Shot(
        duration_s=7,
        faces=(speaker, inset),
        background="wall",
        speech=_say(LINES[5], voice=MAN),
    )
    render([shot], folder / "thirty_fps.mp4", VideoFormat(width=1280, height=720, fps=Fraction(30)))


def visitor(folder: Path) -> None:
    """One shot into which a second person walks, so that only its beginning shows one face."""
    guest = Face(identity="mirrored", width_px=215, x=1.95, drift_x=-1.2, y=0.5)
    host = Face(identity="astronaut", width_px=230, x=0.28, y=0.5)
    shot = Shot(duration_s=9, faces=(host, guest), speech=_say(LINES[2]))
    render([shot], folder / "visitor.mp4")


VIDEOS: tuple[Callable[[Path], None], ...] = (interview, fade, visitor, thirty_fps, talking_head)


def render_demo(folder: Path) -> None:
    """Write every demo video and its truth into `folder`, two at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(2, spawn, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
        for job in [pool.submit(video, folder) for video in VIDEOS]:
            job.result()


def _say(
    text: str, start_s: float = 0.4, speaker: int | None = 0, voice: str = "en-us+f4"
) -> tuple[Speech, ...]:
    return (Speech(text=text, start_s=start_s, speaker=speaker, voice=voice),)
