"""``reseen identify``: which object a photo shows, or none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reseen.cli import console, options
from reseen.cli.collections import opened

if TYPE_CHECKING:
    from reseen.collections import Collection
    from reseen.identify import Calibration, Identification, Identifier
    from reseen.search import Query


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def identify(
        collection: options.CollectionFolder,
        photos: Annotated[list[str], typer.Argument(help="Photos, or folders of photos.", metavar="PHOTO...")],
        box: options.Boxes = None,
        k: Annotated[int, typer.Option("-k", min=1, help="Instances per photo.")] = 5,
        objects: Annotated[bool, typer.Option("--objects", help="Look for several objects, each with a box.")] = False,
        by: options.By = "neighbours",
        references: Annotated[
            str, typer.Option(help="What stands for an instance: photos, average or ranked.")
        ] = "photos",
        rerank: Annotated[
            str,
            typer.Option(help="Look at the most alike photos again, as reseen search does: none, auto, geometry, ..."),
        ] = "auto",
        threshold: Annotated[
            float | None,
            typer.Option(
                min=0,
                max=1,
                help="Least confidence of an answer. [default: 0.5 where a search tells it, else calibrated]",
            ),
        ] = None,
        heat: Annotated[
            Path | None, typer.Option(help="Folder for pictures of where instances are, and which.")
        ] = None,
        force: options.Force = False,
        as_json: options.AsJsonLines = False,
        quiet: options.Quiet = False,
    ) -> int:
        """Say which object of a collection each photo shows, or that it shows none of them.

        Labels are the objects; without any label each photo of the collection is an object of its own. The first
        call calibrates the collection, which takes a minute (see ``reseen calibrate``).
        """
        import os

        from reseen.errors import PhotoRejected
        from reseen.identify import Identifier
        from reseen.images import walk

        options.one_of("--references", references, "photos", "average", "ranked")
        options.one_of("--by", by, "neighbours", "classifier")
        if by == "classifier" and (objects or references != "photos" or rerank not in ("auto", "none")):
            raise typer.BadParameter(
                "the classifier names one object and looks at no references: leave out --objects, --references and "
                "--rerank",
                param_hint="--by",
            )
        held = opened(collection)
        paths = [os.fsdecode(item.path) for item in walk(photos) if not item.ignored]
        boxes = options.boxes(box, len(paths))

        def identifying(calibration: Calibration | None = None) -> Identifier:
            return Identifier(
                held,
                references=references,  # type: ignore[arg-type]
                calibration=calibration,
                threshold=threshold,
                force=force,
                rerank=rerank,
                by=by,  # type: ignore[arg-type]
            )

        identifier = identifying()
        if identifier.classes is not None and identifier.classes.missing:
            missing = identifier.classes.missing
            console.note(
                f"{len(missing)} objects came after the classifier was trained and are never named, the first is "
                f"{missing[0]!r}: train it again with `reseen adapt --recipe`"
            )
        if identifier.calibration is None and (objects or not identifier.convinces):
            with console.progress("calibrating", quiet=quiet or as_json) as step:
                identifier = identifying(_calibrated(held, identifier, step))
        answered = 0
        for path, part in zip(paths, boxes, strict=True):
            try:
                query = held.query(path, part)
                answer = identifier.identify(query, k=k, objects=objects)
                if heat is not None:
                    _draw(identifier, query, heat / f"{Path(path).stem}.png")
            except PhotoRejected as error:
                console.note(f"rejected {error}")
                continue
            answered += 1
            if as_json:
                console.emit(answer.to_json())
            elif not quiet:
                _show(answer)
        return 0 if answered else 1


def _calibrated(held: Collection, identifier: Identifier, step: Callable[[int, int], None]) -> Calibration | None:
    """A calibration measured now and kept where the collection can be written; None when there is nothing to learn."""
    from reseen.errors import CollectionError
    from reseen.identify.calibration import keep, measure

    try:
        found = measure(held, identifier.photos, by=identifier.by, progress=step)
    except CollectionError as error:
        console.note(f"not calibrated, so every photo gets an answer: {error}")
        return None
    try:
        keep(held, found, identifier.by)
    except (CollectionError, OSError) as error:
        console.note(f"the calibration is not kept: {error}")
    return found


def _show(answer: Identification) -> None:
    """One photo's answer for people."""
    rows = [
        (
            hit.rank,
            hit.instance,
            "" if hit.confidence is None else f"{hit.confidence:.0%}",
            f"{hit.score:.3f}",
            "" if hit.box is None else ",".join(f"{v:.0f}" for v in hit.box),
            hit.photos[0] if hit.photos else "",
        )
        for hit in answer.hits
    ]
    title = f"{answer.query}: no match; the nearest are" if answer.no_match else answer.query
    console.table(("rank", "instance", "confidence", "score", "box", "photo"), rows, title=title)


def _draw(identifier: Identifier, query: Query, target: Path) -> None:
    """The picture of one photo's heat map and label map."""
    from reseen.identify.heatmaps import picture, save_picture

    target.parent.mkdir(parents=True, exist_ok=True)
    save_picture(picture(identifier, query), target)
    console.note(f"wrote {target}")
