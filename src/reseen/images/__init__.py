"""Photos: decoded safely, upright, bounded; boxes; what the network sees."""

from reseen.images.limits import LIMITS, Limits
from reseen.images.loading import ordered_map
from reseen.images.photo import PREPROCESSING_VERSION, Photo, PhotoLike, display, load_photo, read_bytes
from reseen.images.resize import (
    Exact,
    Longest,
    ResizeRule,
    Shortest,
    check_box,
    placed,
    prepare,
    resize_to,
    with_noise,
)
from reseen.images.walk import SUFFIXES, Found, walk

__all__ = [
    "LIMITS",
    "PREPROCESSING_VERSION",
    "SUFFIXES",
    "Exact",
    "Found",
    "Limits",
    "Longest",
    "Photo",
    "PhotoLike",
    "ResizeRule",
    "Shortest",
    "check_box",
    "display",
    "load_photo",
    "ordered_map",
    "placed",
    "prepare",
    "read_bytes",
    "resize_to",
    "walk",
    "with_noise",
]
