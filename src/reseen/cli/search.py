"""``reseen search``: photos of what a photo shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from reseen.cli import console, options
from reseen.cli.collections import opened

if TYPE_CHECKING:
    from reseen.search import Hit


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def search(
        collection: options.CollectionFolder,
        queries: Annotated[
            list[str] | None, typer.Argument(help="Photos, or folders of photos.", metavar="[QUERY]...")
        ] = None,
        ids: Annotated[
            list[int] | None,
            typer.Option("--id", help="A photo of the collection, by its id, which is found too; repeat for more."),
        ] = None,
        box: options.Boxes = None,
        as_one: Annotated[
            bool, typer.Option("--as-one", help="All queries show one thing: one answer to all of them.")
        ] = False,
        unlike: Annotated[
            list[str] | None,
            typer.Option("--not", help="A photo of what is not meant, which sinks; repeat for more.", metavar="PHOTO"),
        ] = None,
        rerank: Annotated[
            str,
            typer.Option(
                help="Look at the first hits again: none, auto, or geometry, superglobal, diffusion, reciprocal, "
                "expansion joined with +; geometry:mirror, geometry:upright, and a number of hits as in geometry:100. "
                "auto is geometry+superglobal where the collection keeps local features, else none."
            ),
        ] = "auto",
        first: Annotated[
            str,
            typer.Option(
                help="What finds the photos that are looked at again: global (the vectors), local (words of local "
                "features), or both; global where there are no local features."
            ),
        ] = "both",
        k: Annotated[int, typer.Option("-k", min=1, help="Hits per query.")] = 10,
        html: Annotated[Path | None, typer.Option(help="Write a page with queries and hits.")] = None,
        as_json: options.AsJsonLines = False,
        quiet: options.Quiet = False,
    ) -> int:
        """Rank the photos of a collection by how alike they are to what each query shows."""
        import os

        from reseen.collections.first_stage import First
        from reseen.collections.several import Answer
        from reseen.errors import PhotoRejected
        from reseen.images import walk
        from reseen.search import Query

        if first not in get_args(First):
            raise typer.BadParameter(f"{first!r} is not {', '.join(get_args(First))}", param_hint="--first")
        if not queries and not ids:
            raise typer.BadParameter("name photos to search for, or --id", param_hint="QUERY")
        held = opened(collection)
        asked: list[str | int] = [os.fsdecode(item.path) for item in walk(queries or []) if not item.ignored]
        asked += ids or []
        page = None
        if html is not None:
            from reseen.search.page import Page

            page = Page()
        answered, rejected = 0, []
        boxes = options.boxes(box, len(asked))
        each = [Query(photo, part) for photo, part in zip(asked, boxes, strict=True)]
        for together in [each] if as_one and each else [[query] for query in each]:
            try:
                found = [held.query(query) for query in together]
                if as_one or unlike:
                    answer = held.search_as_one(
                        found, k=k, against=unlike or (), rerank=rerank, first=cast(First, first)
                    )
                else:
                    ranking = held.search(found[0], k=k, rerank=rerank, first=cast(First, first))
                    answer = Answer(ranking, (ranking,))
            except PhotoRejected as error:
                rejected.append(error)
                console.note(f"rejected {error}")
                continue
            answered += 1
            if page is not None:
                for query, ranking in zip(found, answer.each, strict=True):
                    page.add(query, ranking)
            ranking = answer.ranking
            if as_json:
                console.emit(ranking.to_json())
            elif not quiet:
                rows = [(hit.rank, f"{hit.score:.3f}", _sure(hit), hit.label, hit.path) for hit in ranking]
                console.table(("rank", "score", "same thing", "label", "photo"), rows, title=ranking.query)
        if html is not None and page is not None:
            page.write(html, rejected)
            console.note(f"wrote {html}")
        return 0 if answered else 1


def _sure(hit: Hit) -> str:
    """How likely a hit is right, where something was looked at, and why where geometry convinces."""
    if hit.probability is None:
        return ""
    return f"{hit.probability:.0%}, {hit.why}" if hit.verified else f"{hit.probability:.0%}"
