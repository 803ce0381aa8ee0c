"""Open sound and video of other people: only formats that hold their own streams.

A playlist (HLS, concat, SDP, …) names further files or addresses, and FFmpeg would read
those; such a file is refused, whatever its name.
"""

from pathlib import Path
from typing import Any

import av

FORMATS = (
    "mp3,wav,w64,flac,ogg,aac,ac3,eac3,aiff,au,caf,amr,ape,tta,wv,opus,"
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,mxf,gif,"
    "h264,hevc,m4v,dv,rm,wtv,nut,ivf,apng"
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


def open_media(source: Path | Any) -> Any:
    """Return a PyAV container to read, of a path or a file object.

    Raises av.FFmpegError for anything that is no medium.
    """
    return av.open(f"file:{source}" if isinstance(source, Path) else source, options=OPTIONS)


def video_streams(container: Any) -> list[Any]:
    """Return the video streams that are no cover pictures."""
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]
