"""Read the reference portrait, check it, and crop it the way V-Express recommends."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vexpress.errors import PortraitError, told_apart
from vexpress.faces.points import Face, FaceDetector

MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF", "JPEG2000")
"""Kinds of pictures that are opened; others (EPS) would start programs to be drawn."""
LOOK_SIDE = 640
"""Longer side, pixels, at which the face is looked for."""
STRETCH = 1.02
"""Ratio of shapes up to which a picture counts as having the video's shape."""
DOMINANT = 1.5
"""A face this many times as large as the next is the one that is meant."""
MIN_FACE_SHARE = 0.15
"""Least height of the face, as a share of the picture's."""
MIN_FACE_PX = 48
CROP_SIDE = 2.2
"""Side of the recommended crop, in heights of the face box."""
CROP_CENTRE = 0.05
"""How far the crop's centre lies above the face's, in heights of the face box."""


@dataclass(frozen=True)
class Portrait:
    """A picture with one clear face, at the video's size."""

    image: np.ndarray
    """RGB uint8 (height, width, 3)."""
    points: np.ndarray
    """Left eye, right eye, nose: float32 (3, 2), pixels of `image`."""


def read_portrait(
    path: Path, width: int, height: int, detector: FaceDetector, auto_crop: bool = False
) -> Portrait:
    """Read a picture, find its face, and bring it to `width` x `height`.

    Raises PortraitError when the picture has no clear face, several, a small one, or
    another shape than the video; `auto_crop` crops around the face instead.
    """
    image = read_image(path)
    face = find_face(image, detector, path)
    box = recommended_crop(face, image.shape[1], image.shape[0], width / height)
    if auto_crop:
        image, face = _crop(image, face, box)
    _check_shape(image, box, path, width, height)
    _check_face(face, image, box, path)
    scale = np.array([width / image.shape[1], height / image.shape[0]])
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return Portrait(np.asarray(resized), (face.points[:3] * scale).astype(np.float32))


def read_image(path: Path) -> np.ndarray:
    """Any still picture as RGB uint8 (H, W, 3), upright; of an animation the first frame."""
    if not path.is_file():
        raise PortraitError(f"reference: expected a file, found none at {path}")
    try:
        with Image.open(path, formats=FORMATS) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise PortraitError(
                    f"{path}: {opened.width}x{opened.height} pixels; expected at most 100 million."
                )
            opened.seek(0)
            return np.asarray(_to_rgb(ImageOps.exif_transpose(opened)))
    except Image.DecompressionBombError as error:
        raise PortraitError(f"{path}: {error} Expected at most 100 million pixels.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise PortraitError(
            f"{path} cannot be read as a picture; expected PNG, JPEG or the like. ({error})"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # 16-bit grey; Pillow itself would cut it off at 255.
        grey = np.asarray(image, dtype=np.float32) / 257
        return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def find_face(image: np.ndarray, detector: FaceDetector, path: Path) -> Face:
    """The one face of a picture, in its pixels; small bystanders are ignored."""
    scale = min(1.0, LOOK_SIDE / max(image.shape[:2]))
    shrunk = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    faces = sorted(detector.detect(np.ascontiguousarray(shrunk[..., ::-1])), key=_height)
    if not faces:
        raise PortraitError(
            f"{path}: no clear face found ({detector.name}). Expected one face seen from the "
            "front, sharp and well lit."
        )
    if len(faces) > 1 and _height(faces[-1]) < DOMINANT * _height(faces[-2]):
        raise PortraitError(
            f"{path}: {len(faces)} faces of about the same size. Expected one person; crop the "
            "picture to the one who shall speak."
        )
    face = faces[-1]
    return Face(face.box / scale, face.points / scale, face.score)


def recommended_crop(
    face: Face, width: int, height: int, shape: float
) -> tuple[int, int, int, int]:
    """x, y, width, height of the largest recommended crop that lies within the picture.

    Head and shoulders with the face in the middle, of shape width / height.
    """
    high = CROP_SIDE * _height(face)
    high = min(high, height, width / shape)
    wide = high * shape
    x = (face.box[0] + face.box[2]) / 2 - wide / 2
    y = (face.box[1] + face.box[3]) / 2 - CROP_CENTRE * _height(face) - high / 2
    x, y = np.clip(x, 0, width - wide), np.clip(y, 0, height - high)
    return round(float(x)), round(float(y)), int(wide), int(high)


def _crop(image: np.ndarray, face: Face, box: tuple[int, int, int, int]) -> tuple[np.ndarray, Face]:
    x, y, wide, high = box
    shift = np.array([x, y], dtype=np.float32)
    moved = Face(face.box - np.tile(shift, 2), face.points - shift, face.score)
    return np.ascontiguousarray(image[y : y + high, x : x + wide]), moved


def _check_shape(
    image: np.ndarray, box: tuple[int, int, int, int], path: Path, width: int, height: int
) -> None:
    ratio = (image.shape[1] / image.shape[0]) / (width / height)
    if max(ratio, 1 / ratio) > STRETCH:
        raise PortraitError(
            f"{path} is {image.shape[1]}x{image.shape[0]}, the video {width}x{height}: the face "
            f"would be stretched. auto_crop would take {_say(box)} around the face."
        )


def _check_face(face: Face, image: np.ndarray, box: tuple[int, int, int, int], path: Path) -> None:
    high = _height(face)
    if high < MIN_FACE_PX:
        raise PortraitError(
            f"{path}: the face is {told_apart(high, MIN_FACE_PX)} pixels high; expected "
            f"at least {MIN_FACE_PX}, better 200 and more. Use a larger picture."
        )
    if high < MIN_FACE_SHARE * image.shape[0]:
        raise PortraitError(
            f"{path}: the face takes {high / image.shape[0]:.0%} of the picture's height; expected "
            f"at least {MIN_FACE_SHARE:.0%}. auto_crop would take {_say(box)} around the face."
        )


def _say(box: tuple[int, int, int, int]) -> str:
    return f"{box[2]}x{box[3]} pixels at ({box[0]}, {box[1]})"


def _height(face: Face) -> float:
    return float(face.box[3] - face.box[1])
