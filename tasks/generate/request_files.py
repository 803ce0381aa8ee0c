"""What requests name: is it allowed to be read, is it there, can it be what it should be?

A request may come from anybody. It names files below a few folders and nothing else: no
links out of them, no addresses, no devices. Sizes are read off headers before anything is
decoded.
"""

import re
import stat
from pathlib import Path

import av
from PIL import Image, UnidentifiedImageError

from vexpress.errors import InputError, told_apart
from vexpress.faces.kps_file import read_kps, read_times
from vexpress.faces.portrait import FORMATS
from vexpress.media.formats import open_media, video_streams
from vexpress.media.video import check_picture
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.generate.config import Limits

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
CREDENTIALS = re.compile(r"(?<=//)[^/@\s]*@")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MEGA = 1_000_000
AV_TIME_BASE = 1_000_000


class Roots:
    """The folders that requests may read from."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = [folder.expanduser().resolve() for folder in folders]

    def resolve(self, text: str, base: Path | None) -> Path:
        """Return the real path of what a request names; a relative one counts from `base`.

        Raises Rejection `not_allowed`, `no_file` or `not_a_file`. Nothing is told of what
        lies outside.
        """
        if CONTROL.search(text):
            raise Rejection("not_allowed", "expected a path, found one with control characters")
        if SCHEME.match(text):
            raise Rejection(
                "not_allowed", f"expected a path, found an address: {without_credentials(text)}"
            )
        if base is None and not Path(text).is_absolute():
            raise Rejection("not_allowed", f"expected an absolute path here, found {text}")
        path = (base or Path("/")) / text
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:
            raise Rejection("no_file", f"{text}: expected a file: {_why(error)}") from error
        if not any(real.is_relative_to(folder) for folder in self.folders):
            listed = ", ".join(map(str, self.folders))
            raise Rejection(
                "not_allowed",
                f"{text}: it leads out of the folders that requests may read: {listed}. "
                "More are allowed with `allow`",
            )
        return _regular(real, text)


def _regular(real: Path, text: str) -> Path:
    try:
        mode = real.stat().st_mode
    except OSError as error:
        raise Rejection("no_file", f"{text}: expected a file: {_why(error)}") from error
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or pipe"
        raise Rejection("not_a_file", f"{text}: expected a file, found {kind}")
    return real


def check_portrait(path: Path, limits: Limits) -> None:
    """Raise Rejection for what is no picture or too large a one; nothing is decoded."""
    _check_size(path, limits.picture_mb)
    try:
        with Image.open(path, formats=FORMATS) as picture:
            pixels = picture.width * picture.height
    except Image.DecompressionBombError as error:
        raise Rejection("too_large", f"{path}: {error}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        detail = f"{path}: expected a picture (PNG, JPEG, …), it cannot be opened as one"
        raise Rejection("bad_portrait", detail) from error
    if pixels > limits.picture_megapixels * MEGA:
        raise Rejection(
            "too_large",
            f"{path}: expected at most {limits.picture_megapixels:g} million pixels, "
            f"found {told_apart(pixels / MEGA, limits.picture_megapixels, 1)}",
        )


def check_sound(path: Path, limits: Limits) -> float:
    """Return the seconds that the header claims (0: it does not say); raise Rejection."""
    _check_size(path, limits.media_mb)
    try:
        with open_media(path) as container:
            seconds = float((container.duration or 0) / AV_TIME_BASE)
            has_sound = bool(container.streams.audio)
    except (av.FFmpegError, OSError, ValueError) as error:
        detail = f"{path}: expected sound, it cannot be opened as such: {_why(error)}"
        raise Rejection("bad_sound", detail) from error
    if not has_sound:
        raise Rejection("bad_sound", f"{path}: expected sound, found none in the file")
    if seconds > limits.sound_s:
        raise Rejection(
            "too_long",
            f"{path}: expected at most {limits.sound_s:g} s of sound, found "
            f"{told_apart(seconds, limits.sound_s, 1)} s. "
            "limits.sound_s allows more",
        )
    return seconds


def check_video(path: Path, limits: Limits) -> None:
    """Raise Rejection for what is no video, or one of impossible pictures."""
    _check_size(path, limits.media_mb)
    try:
        with open_media(path) as container:
            streams = video_streams(container)
            if not streams:
                raise Rejection("bad_points", f"{path}: expected a video, found no pictures in it")
            check_picture(streams[0].width, streams[0].height, path)
    except InputError as error:
        raise Rejection("too_large", str(error)) from error
    except (av.FFmpegError, OSError, ValueError) as error:
        detail = f"{path}: expected a video, it cannot be opened as such: {_why(error)}"
        raise Rejection("bad_points", detail) from error


def check_kps(path: Path) -> None:
    """Raise Rejection for what is no file of V-Kps. Nothing in it is run."""
    try:
        read_times(path, len(read_kps(path)))
    except InputError as error:
        raise Rejection("bad_points", str(error)) from error


def _check_size(path: Path, most_mb: float) -> None:
    size = path.stat().st_size
    if size > most_mb * MEGA:
        raise Rejection(
            "too_large",
            f"{path}: expected at most {most_mb:g} MB, "
            f"found {told_apart(size / MEGA, most_mb, 1)} MB",
        )


def without_credentials(text: str) -> str:
    """Return an address without the name and password in it; plain text stays as it is."""
    return CREDENTIALS.sub("…@", text)


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
