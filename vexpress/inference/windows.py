"""Cut a video of any length into overlapping windows of frames.

Published V-Express denoises windows of 24 frames, 4 of which overlap with the next, and
shortens the video to whole windows. Here the last window is padded instead, unless a request
says `published_length`.
"""

import math

from vexpress.errors import SettingsError


def frames_for(seconds: float, fps: float) -> int:
    """Frames that cover `seconds` of sound at `fps`; at least one."""
    return max(1, math.ceil(seconds * fps - 1e-6))


def published_frames_for(seconds: float, fps: float, window: int = 24, overlap: int = 4) -> int:
    """Frames of published V-Express: `seconds` · `fps` cut down to whole windows."""
    frames = int(seconds * fps)
    stride = window - overlap
    return max(window, window + (frames - window) // stride * stride)


def padded_frames(frames: int, window: int, overlap: int) -> int:
    """`frames` raised to whole windows; a video of less than one window stays as it is."""
    check_window(window, overlap)
    stride = window - overlap
    return frames if frames <= window else window + -(-(frames - window) // stride) * stride


def plan_windows(frames: int, window: int, overlap: int) -> list[range]:
    """The windows of a video of `frames` frames, which must be whole windows or less than one."""
    check_window(window, overlap)
    if frames <= window:
        return [range(frames)]
    return [range(start, start + window) for start in range(0, frames - overlap, window - overlap)]


def check_window(window: int, overlap: int) -> None:
    """Raise SettingsError for windows that make no sense."""
    if window < 1 or not 0 <= overlap < window:
        raise SettingsError(
            f"windows of {window} frames with {overlap} overlapping: "
            "expected at least 1 frame, and an overlap shorter than the window"
        )
