"""What adding photos did."""

from __future__ import annotations

from dataclasses import dataclass, field

from reseen import schema
from reseen.errors import PhotoRejected


@dataclass
class Report:
    """What an ``add`` did: counts, and a reason for every photo that was refused.

    ``filled`` counts older photos that were given local features.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    ignored: int = 0
    moved: int = 0
    removed: int = 0
    filled: int = 0
    rejected: list[PhotoRejected] = field(default_factory=list)
    fingerprint: str = ""

    def to_json(self) -> schema.Indexed:
        """The object of ``reseen index --json``."""
        rejected: list[schema.Rejected] = [{"path": item.path, "reason": item.reason} for item in self.rejected]
        return {
            "added": self.added,
            "updated": self.updated,
            "unchanged": self.unchanged,
            "ignored": self.ignored,
            "moved": self.moved,
            "removed": self.removed,
            "filled": self.filled,
            "rejected": rejected,
            "fingerprint": self.fingerprint,
        }
