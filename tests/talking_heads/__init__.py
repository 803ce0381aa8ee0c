"""Rendered talking heads: videos whose cuts, faces, points, lips and speech are exactly known.

`render` makes one from a script; `python -m tests.talking_heads FOLDER` makes the demo's input.
"""

from tests.talking_heads.render import render
from tests.talking_heads.script import Face, Shot, Speech, VideoFormat
from tests.talking_heads.truth import FaceTruth, FrameTruth, SegmentTruth, Truth

__all__ = [
    "Face",
    "FaceTruth",
    "FrameTruth",
    "SegmentTruth",
    "Shot",
    "Speech",
    "Truth",
    "VideoFormat",
    "render",
]
