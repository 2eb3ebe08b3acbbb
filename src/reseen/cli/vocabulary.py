"""``reseen vocabulary``: visual words of local features, from any photos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def vocabulary(
        photos: Annotated[list[str], typer.Argument(help="Photos and folders to learn from.", metavar="PHOTOS...")],
        to: Annotated[Path, typer.Option(help="File to write (safetensors).")],
        size: Annotated[
            int, typer.Option(min=16, max=1_048_576, help="Words; ten features or more are needed for each.")
        ] = 8192,
        seed: Annotated[int, typer.Option(help="Of the rotation and of k-means.")] = 0,
        as_json: Annotated[bool, typer.Option("--json", help="For programs: one JSON object on stdout.")] = False,
        quiet: options.Quiet = False,
    ) -> int:
        """Learn a vocabulary of visual words (SIFT) for an inverted file."""
        import os

        from reseen.errors import PhotoRejected
        from reseen.images import load_photo, ordered_map, walk
        from reseen.local_features import LocalFeatures
        from reseen.search.local import create_extractor
        from reseen.search.vocabulary import Vocabulary

        found = [os.fsdecode(item.path) for item in walk(photos) if not item.ignored]
        extractor = create_extractor("sift")
        rejected: list[PhotoRejected] = []

        def features(path: str) -> LocalFeatures | PhotoRejected:
            try:
                photo = load_photo(path, at_least=extractor.side)
            except PhotoRejected as error:
                return error
            return extractor.extract(photo.pixels, photo.size)

        def usable() -> Iterator[LocalFeatures]:
            with console.progress("reading", quiet=quiet or as_json) as step:
                for done, item in enumerate(ordered_map(features, found), 1):
                    if isinstance(item, PhotoRejected):
                        rejected.append(item)
                    else:
                        yield item
                    step(done, len(found))

        Vocabulary.learn(usable(), size, kind=extractor.name, seed=seed).save(to)
        report: schema.Words = {
            "file": str(to.absolute()),
            "words": size,
            "found": len(found),
            "photos": len(found) - len(rejected),
            "rejected": [{"path": error.path, "reason": error.reason} for error in rejected],
        }
        if as_json:
            console.emit(report)
            return 0
        for error in rejected:
            console.note(f"rejected {error}")
        console.note(f"{size} words of {report['photos']} photos in {to}")
        return 0
