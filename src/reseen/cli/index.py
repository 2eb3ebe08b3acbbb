"""``reseen index``: photos into a collection."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reseen.cli import console, options
from reseen.cli.collections import Wait, patient
from reseen.errors import CollectionError


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def index(
        photos: Annotated[list[str], typer.Argument(help="Photos and folders of photos.")],
        to: Annotated[str, typer.Option("--to", help="The collection: a folder, made when it is not there.")],
        recipe: Annotated[
            str | None, typer.Option(help="Recipe or saved descriptor of a new collection. [default: default]")
        ] = None,
        weights: Annotated[str | None, typer.Option(help="Backbone weights of a new collection: a file.")] = None,
        local: Annotated[
            str | None,
            typer.Option(
                help="Local features, by which searches are verified: sift, none, disk:FILE, aliked:FILE; photos of an "
                "older collection that lack them are read again. [default: sift for a new collection]"
            ),
        ] = None,
        vocabulary: Annotated[
            Path | None, typer.Option(help="Visual words of the collection's own, made by `reseen vocabulary`.")
        ] = None,
        labels: Annotated[str | None, typer.Option(help="CSV with the columns path and label.")] = None,
        label_from_folder: Annotated[
            bool, typer.Option("--label-from-folder", help="Each photo's folder below PHOTOS is its label.")
        ] = False,
        sync: Annotated[
            bool, typer.Option("--sync", help="Also remove photos that are gone from PHOTOS; moved ones keep labels.")
        ] = False,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="With --sync: only say what would be done.")] = False,
        force: Annotated[bool, typer.Option("--force", help="With --sync: even when all photos are gone.")] = False,
        wait: Wait = 10.0,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> int:
        """Add photos to a collection; again later, only new and changed ones are read."""
        from reseen.collections import Collection
        from reseen.collections.creating import vacant
        from reseen.collections.labels import join, read_labels
        from reseen.collections.local import full_name
        from reseen.descriptor import load
        from reseen.images import walk
        from reseen.search.geometry.probability import default_calibration
        from reseen.search.vocabulary import Vocabulary

        words = Vocabulary.read(vocabulary) if vocabulary is not None else None
        if (dry_run or force) and not sync:
            raise typer.BadParameter("--dry-run and --force belong to --sync")
        named = read_labels(labels) if labels else None
        folder = Path(to)
        if vacant(folder):
            if dry_run:
                raise CollectionError(f"{folder}: there is no collection yet")
            if all(item.ignored for item in walk(photos)):
                raise CollectionError(f"{', '.join(photos)}: there are no photos here")
            if words is not None and not words.fits(full_name(local or "sift")):
                raise CollectionError(f"{vocabulary}: is of {words.kind} features, and --local is {local or 'none'}")
            collection = Collection.create(folder, load(recipe or "default", weights=weights), local=local or "sift")
        else:
            given = load(recipe, weights=weights) if recipe else None
            collection = Collection.open(folder, given)
            if local == "none" != collection.manifest.local:
                raise CollectionError(f"{folder}: keeps local features; index into a new collection for --local none")
            for damage in collection.damage:
                console.note(f"damaged: {damage}; going on from version {collection.version}")
        if collection.manifest.recipe == "default" and collection.fingerprint != default_calibration().descriptor:
            console.note(f"{folder} was made by an older `default`: `reseen upgrade {folder}` takes the new one")
        patient(collection, wait, quiet=quiet or as_json)
        if words is not None and not dry_run:
            collection.use_vocabulary(words)
        filled = None
        if local not in (None, "none") and not dry_run:
            with console.progress("local features", quiet=quiet or as_json) as step:
                filled = collection.add_local_features(local, progress=step)
        elif collection.manifest.local == "none" and local is None:
            console.note(f"{folder} keeps no local features: `--local sift` adds them, and its searches are verified")
        with console.progress("indexing", quiet=quiet or as_json) as step:
            if sync:
                report = collection.sync(
                    *photos,
                    labels=named,
                    label_from_folder=label_from_folder,
                    dry_run=dry_run,
                    force=force,
                    progress=step,
                )
            else:
                report = collection.add(*photos, labels=named, label_from_folder=label_from_folder, progress=step)
        if filled is not None:
            report.filled = filled.filled
            report.rejected += filled.rejected
        if named:
            joined = join(named, [row.path for row in collection.photos() if row.path])
            for rows, what in ((joined.unknown, "match no photo"), (joined.ambiguous, "match several photos")):
                if rows:
                    console.note(f"{labels}: {len(rows)} of {len(named)} rows {what} of {folder}, first {rows[0]}")
        if as_json:
            console.emit(report.to_json())
        elif not quiet:
            for item in report.rejected:
                console.note(f"rejected {item.path}: {item.reason}")
            with_features = f"{report.filled} given local features, " if report.filled else ""
            synced = f"{report.moved} moved, {report.removed} removed, " if sync else ""
            console.note(
                f"{'would be: ' if dry_run else ''}{report.added} added, {report.updated} updated, {report.unchanged} "
                f"unchanged, {synced}{with_features}{report.ignored} ignored, {len(report.rejected)} rejected; "
                f"{len(collection)} photos in {folder}"
            )
        accepted = report.added + report.updated + report.unchanged + report.moved + report.removed
        if not accepted and not as_json:
            console.error("no photo could be used")
        return 0 if accepted else 1
