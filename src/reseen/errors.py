"""The library's errors. Each says what is wrong, where, and what to do, in one line."""

from __future__ import annotations


class ReseenError(Exception):
    """Base of every error that reseen raises on purpose; the command line prints it as one line."""


class PhotoRejected(ReseenError):
    """A photo that cannot be used; it never stops a batch.

    ``path`` is the display text of the photo (a path, or a description such as ``<bytes>``) and
    ``reason`` one clear line.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class WeightsMissing(ReseenError):
    """Weights that are not on this machine; the message says how to get them."""


class RecipeError(ReseenError):
    """A recipe that does not exist, or whose settings are not valid."""


class PluginError(ReseenError):
    """A class of another package that cannot be imported, or that two packages give one name."""


class NotFitted(ReseenError):
    """A head, projection or threshold is used before it has learned its values."""


class FingerprintMismatch(ReseenError):
    """Vectors made by one descriptor meet those of another."""


class CollectionError(ReseenError):
    """A collection cannot be created, opened or changed."""


class CollectionLocked(CollectionError):
    """Another process is writing to the collection."""


class CollectionDamaged(CollectionError):
    """A part of a collection is missing or torn; the message names it."""


class CollectionUnreadable(CollectionError):
    """A part of a collection cannot be read now (too many open files, a failing disk); nothing was changed."""


class PhotoSetError(ReseenError):
    """A folder or list of photos that is missing, damaged or holds nothing of use."""


class BenchmarkError(PhotoSetError):
    """Ground truth that is missing, incomplete or contradicts itself."""


class UntrustedFile(ReseenError):
    """A file that asks for more than plain data (a pickle that names code, say) was refused."""


class TrainingError(ReseenError):
    """Training cannot start or go on (no pairs, NaN loss, collapse, other settings on resume)."""
