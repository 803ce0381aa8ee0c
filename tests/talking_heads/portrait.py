"""A photographed head whose mouth and eyelids move.

The photograph is NASA's portrait of astronaut Eileen Collins, in the public domain, which the
package scikit-image carries (`skimage.data.astronaut`, 512x512). The two other identities are
derived from it: recoloured and re-proportioned, so they are faces for a detector, not persons.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

# All constants are pixels of the photograph. Landmarks were measured once with dlib's
# 68-point model on the photograph doubled in size; the pupils were marked by hand.
POINTS = np.array([[204.4, 101.1], [247.5, 103.3], [225.0, 127.5], [200.5, 139.0], [246.0, 141.0]])
"""Image-left eye, image-right eye, nose tip, image-left and image-right mouth corner."""
OUTLINE = np.array(
    [
        *([226, 60], [190, 72], [262, 72], [180, 105], [271, 109], [182, 138], [268, 132]),
        *([191, 160], [260, 154], [209, 175], [242, 171], [220, 178]),
    ]
)
"""Jaw from dlib; the top lies where SCRFD puts a box's top."""
CHIN = slice(9, 12)
CENTRE = np.array([225.5, 117.0])
FACE_WIDTH = 91.0
LIP_GAP = 6.0
"""Between the inner lips as photographed, smiling."""
CLOSED, OPEN = -4.5, 8.0
"""Shift of the lower lip in silence and at the loudest."""

# The person's outline: OpenCV's GrabCut from a rough sketch, simplified to 1.5 px.
PERSON = [
    (201, 23), (185, 38), (163, 51), (156, 58), (153, 68), (154, 92), (157, 104), (167, 115),
    (170, 121), (174, 128), (181, 132), (184, 147), (161, 149), (140, 158), (123, 178), (119, 200),
    (103, 215), (90, 227), (76, 235), (65, 246), (40, 294), (26, 342), (25, 375), (20, 386),
    (20, 415), (24, 432), (23, 460), (26, 484), (41, 511), (511, 511), (508, 506), (498, 476),
    (491, 477), (503, 458), (495, 452), (496, 447), (493, 421), (488, 405), (478, 384), (455, 361),
    (436, 351), (418, 345), (393, 344), (367, 350), (359, 336), (362, 330), (357, 323), (352, 286),
    (347, 282), (340, 262), (319, 243), (303, 233), (299, 219), (289, 203), (276, 189), (255, 173),
    (261, 154), (265, 144), (268, 138), (290, 117), (296, 107), (299, 97), (299, 72), (296, 58),
    (288, 43), (276, 31), (248, 18), (227, 16), (212, 22),
]  # fmt: skip
SKIN = [
    (183, 96), (186, 84), (205, 80), (225, 84), (245, 84), (262, 90), (272, 104), (270, 125),
    (274, 132), (262, 158), (250, 186), (230, 192), (205, 190), (187, 172), (182, 150), (181, 136),
    (170, 122), (178, 112),
]  # fmt: skip
SUIT_TOP = 190


@dataclass(frozen=True)
class Look:
    """How an identity differs from the photograph."""

    stretch: float = 1.0
    """Width over the photograph's; negative is mirrored."""
    hair: tuple[float, float, float] = (1, 1, 1)
    """Gain of blue, green and red of the hair."""
    skin: tuple[float, float, float] = (1, 1, 1)
    """Gain of blue, green and red of the skin."""
    suit: tuple[int, float, float] | None = None
    """Hue of the suit (OpenCV's 0..179), gain of its saturation and of its brightness."""


LOOKS = {
    "astronaut": Look(),
    "mirrored": Look(-1.05, (0.36, 0.37, 0.38), (0.86, 0.9, 0.96), (108, 0.5, 0.9)),
    "narrow": Look(0.93, (0.45, 0.62, 1.02), (1.0, 0.98, 0.98), (85, 0.45, 0.55)),
}


class Portrait:
    """One identity as a picture `scale` times the photograph's size.

    `texture` is premultiplied BGRA, uint8, (512 * scale, 512 * scale, 4), transparent around the
    person. `pose` changes it in place.
    """

    def __init__(self, identity: str, scale: int) -> None:
        self.scale = scale
        self.texture = _texture(identity, scale).copy()
        self._mouth = _Mouth(self.texture, scale)
        self._eyes = [
            _Patch(self.texture, scale, (int(x) - 15, 90, int(x) + 15, 108)) for x, _ in POINTS[:2]
        ]

    def pose(self, lip_shift: float, blink: float) -> None:
        """Lower the lower lip by `lip_shift` photograph pixels; close the eyes by 0..1."""
        self._mouth.open(lip_shift)
        for patch, (x, y) in zip(self._eyes, POINTS[:2], strict=True):
            _close_lid(patch, float(x), float(y), blink)


class _Patch:
    """A rectangle of a texture: its untouched pixels and the photograph coordinates of each."""

    def __init__(self, texture: Pixels, scale: int, box: tuple[int, int, int, int]) -> None:
        x1, y1, x2, y2 = (side * scale for side in box)
        self.scale = scale
        self.target = texture[y1:y2, x1:x2]
        self.pixels = self.target.copy()
        columns, rows = np.meshgrid(np.arange(x2 - x1), np.arange(y2 - y1))
        self.columns = columns.astype(np.float32)
        self.x = ((columns + x1 + 0.5) / scale - 0.5).astype(np.float32)
        self.y = ((rows + y1 + 0.5) / scale - 0.5).astype(np.float32)
        self.top = float(self.y[0, 0])

    def sample(self, y: Floats) -> Pixels:
        """The untouched pixels, each taken from photograph row `y` of its own column."""
        rows = ((y - self.top) * self.scale).astype(np.float32)
        return cv2.remap(
            self.pixels, self.columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


THROAT = np.array([26, 18, 52], np.float32)


class _Mouth(_Patch):
    """The lower face. Below the inner edge of the lower lip, all moves, less down the neck."""

    def __init__(self, texture: Pixels, scale: int) -> None:
        super().__init__(texture, scale, (178, 136, 270, 204))
        from_middle = np.abs(self.x - 223.3)
        curve = np.clip(1 - (from_middle / 20) ** 2, 0, 1)
        self.lip_y = 141.2 + 0.05 * (self.x - 223.3) + 9 * curve
        self.at_lip = _bell(from_middle / 21)
        jaw = _bell(from_middle / (21 + 0.8 * np.clip(self.y - 156, 0, 26)))
        self.along = (jaw * np.interp(self.y, [150, 178, 203], [1, 0.8, 0])).astype(np.float32)
        self.between_corners = (20 - from_middle) / 3
        depth = np.clip((self.y - self.lip_y) / 8, 0, 1)[..., None]
        tongue = np.array([70, 62, 144], np.float32)
        self.throat = THROAT + depth * (tongue - THROAT)

    def open(self, shift: float) -> None:
        """Lower the lower lip by `shift` photograph pixels."""
        edge_y = self.lip_y + shift * self.at_lip
        moved = self.sample(np.where(self.y > edge_y, self.y - shift * self.along, self.y))
        gap = np.minimum(self.y - self.lip_y + 1, (edge_y - self.y) * self.scale + 0.5)
        gap = np.clip(np.minimum(gap, self.between_corners), 0, 1)[..., None]
        moved[..., :3] = moved[..., :3] * (1 - gap) + self.throat * gap
        self.target[:] = moved


def _bell(distance: Floats) -> Floats:
    """1 at 0, falling smoothly to 0 at 1."""
    return np.cos(np.clip(distance, 0, 1) * np.pi / 2) ** 2


def _close_lid(patch: _Patch, eye_x: float, eye_y: float, blink: float) -> None:
    """Stretch the upper lid down over the eye and squeeze the eye below it."""
    sideways = np.clip(1.6 - np.abs(patch.x - eye_x) / 8.5, 0, 1) * blink
    brow, lid, bottom = eye_y - 8, eye_y - 3, eye_y + 4.2
    edge = lid + sideways * (bottom - 0.8 - lid)
    above = brow + (patch.y - brow) * (lid - brow) / (edge - brow)
    under = bottom - (bottom - patch.y) * (bottom - lid) / (bottom - edge)
    y = np.where(patch.y < edge, above, under)
    patch.target[:] = patch.sample(np.where((patch.y > brow) & (patch.y < bottom), y, patch.y))


@cache
def _texture(identity: str, scale: int) -> Pixels:
    photo = _recolour(data.astronaut()[..., ::-1], LOOKS[identity])
    size = (512 * scale, 512 * scale)
    large = cv2.resize(photo, size, interpolation=cv2.INTER_LANCZOS4)
    if scale > 1:  # a little of the sharpness that enlarging takes away
        large = cv2.addWeighted(large, 1.6, cv2.GaussianBlur(large, (0, 0), scale * 0.7), -0.6, 0)
    alpha = cv2.erode(_mask(PERSON, 0), np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR), (0, 0), scale)
    return np.dstack([cv2.multiply(large, cv2.merge([alpha] * 3), scale=1 / 255), alpha])


def _recolour(photo: Pixels, look: Look) -> Pixels:
    skin = _mask(SKIN, 2)[..., None] / 255
    head = (np.arange(512) < SUIT_TOP)[:, None, None]
    hair = head & (np.arange(512) < 150)[:, None, None]
    gains = 1 + skin * (np.array(look.skin) - 1) * head
    gains += (1 - skin) * (np.array(look.hair) - 1) * hair
    photo = np.clip(photo * gains, 0, 255).astype(np.uint8)
    if look.suit is None:
        return photo
    hsv = cv2.cvtColor(photo, cv2.COLOR_BGR2HSV)
    orange = (hsv[..., 1] > 110) & ((hsv[..., 0] < 16) | (hsv[..., 0] > 172)) & ~head[..., 0]
    recoloured = hsv * np.array([0, *look.suit[1:]]) + np.array([look.suit[0], 0, 0])
    hsv = np.where(orange[..., None], recoloured, hsv).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)


def _mask(polygon: list[tuple[int, int]], blur: float) -> Pixels:
    mask = np.zeros((512, 512), np.uint8)
    cv2.fillPoly(mask, [np.array(polygon, np.int32)], 255)
    return cv2.GaussianBlur(mask, (0, 0), blur) if blur else mask
