"""The ways of retargeting by name; `vexpress/faces/retarget.py` computes them."""

from enum import StrEnum


class Strategy(StrEnum):
    """How the driving points become points of the reference's face."""

    FIX_FACE = "fix_face"
    """The reference's own points in every frame; needs no driving points."""
    NO_RETARGET = "no_retarget"
    """The driving points as they are: the same person, framed alike."""
    OFFSET_RETARGET = "offset_retarget"
    """The reference's points, moved by half the driving nose's scaled motion."""
    NAIVE_RETARGET = "naive_retarget"
    """The driving points, scaled to the reference's face, the first nose aligned."""
    SIMILARITY_RETARGET = "similarity_retarget"
    """A mapping fitted to the whole sequence, smoothed, kept in the frame."""
