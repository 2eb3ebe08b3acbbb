"""One writer at a time."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from reseen.errors import CollectionError, CollectionLocked


class WriterLock:
    """The writer's lock of a folder: held by this process, not by its children; CollectionLocked at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = FileLock(folder / "lock", timeout=0)

    def __enter__(self) -> None:
        try:
            self.lock.acquire()
        except Timeout:
            raise CollectionLocked(
                f"{self.folder}: another process is writing to it; try again when it is done"
            ) from None
        except OSError as error:
            raise CollectionError(f"{self.folder}: cannot be written ({error.strerror or error})") from None

    def __exit__(self, *error: object) -> None:
        self.lock.release()
