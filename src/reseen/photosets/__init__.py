"""Photo sets: photos, and what is known of which match, from folders and lists."""

from reseen.photosets.folders import by_stem, class_folders, photos_in, references, unrelated
from reseen.photosets.photo_set import Geometry, PhotoSet, components, from_labels, join
from reseen.photosets.specification import KINDS, Specification, parse, read_photo_set

__all__ = [
    "KINDS",
    "Geometry",
    "PhotoSet",
    "Specification",
    "by_stem",
    "class_folders",
    "components",
    "from_labels",
    "join",
    "parse",
    "photos_in",
    "read_photo_set",
    "references",
    "unrelated",
]
