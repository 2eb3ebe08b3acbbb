"""A collection: photos, their vectors and the descriptor that made them, in one durable folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from reseen import schema
from reseen.collections import creating, syncing, writing
from reseen.collections.derived import StaleBlock
from reseen.collections.filters import Where, allowed_ids
from reseen.collections.first_stage import OWN, First, fused, open_inverted
from reseen.collections.groups import SURE, Group, grouped, near_copies, same_files
from reseen.collections.local import full_name
from reseen.collections.manifest import Manifest, manifest_versions
from reseen.collections.pairs import DEPTH, Pair, pairs_between, pairs_within
from reseen.collections.report import Report
from reseen.collections.several import Answer, as_one
from reseen.collections.snapshot import Snapshot, open_snapshot
from reseen.collections.table import Row
from reseen.collections.writing import Writer
from reseen.encoder import Encoder
from reseen.errors import CollectionError, FingerprintMismatch, PhotoRejected
from reseen.images import PhotoLike, display, walk
from reseen.local_features import Extractor, LocalFeatures
from reseen.search import Hit, Query, Ranking
from reseen.search.index import NOTHING, Index, index_class
from reseen.search.index.inverted import InvertedFile
from reseen.search.local import create_extractor
from reseen.search.rerank import Chain, Evidence, RerankError, parse_chain
from reseen.search.vocabulary import Vocabulary
from reseen.types import Box, FeatureMaps, Ids, Progress, Vectors

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Asked = PhotoLike | int | Vectors | Query
"""A photo, the id of a photo of the collection, a vector ``(dim,)``, or a :class:`Query`."""

GRACE_S = 3600.0
"""Seconds for which ``compact`` keeps what a reader of an older version may hold."""


class Collection:
    """Use :meth:`create` or :meth:`open`. One writer at a time, many readers, each on one version.

    Attributes:
        folder: where it is.
        damage: what was found damaged when it was opened.
        wait_s: seconds for which a change waits for another writer; then it raises CollectionLocked.
        waiting: called meanwhile, about once a second, with a line that says who holds the lock.
    """

    wait_s: float = 10.0
    waiting: Callable[[str], None] | None = None

    def __init__(
        self, snapshot: Snapshot, encoder: Encoder | None = None, damage: Sequence[str] = (), index: str = "exact"
    ) -> None:
        self.folder, self.damage = snapshot.folder, tuple(damage)
        self._index_class = index_class(index)
        self._encoder = encoder
        self._turn_to(snapshot)

    def _turn_to(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        for made in ("_index", "_inverted"):
            self.__dict__.pop(made, None)

    @classmethod
    def create(cls, path: PathLike, descriptor: Encoder, *, local: str = "sift") -> Collection:
        """A new, empty collection in a folder that does not exist or is empty.

        Args:
            path: of the folder.
            descriptor: saved inside; every vector of the collection is made by it.
            local: local features to keep beside the vectors, by which searches are verified: ``sift``, ``none``, or a
                learned extractor (:func:`reseen.search.local.create_extractor`).

        Raises:
            CollectionError: there is something at ``path``, or it cannot be written.
        """
        folder = _absolute(path)
        return cls(creating.create(folder, descriptor, full_name(local)), descriptor)

    @classmethod
    def open(
        cls, path: PathLike, descriptor: Encoder | None = None, *, version: int | None = None, index: str = "exact"
    ) -> Collection:
        """An existing collection, at its last good version.

        Args:
            path: of the folder.
            descriptor: instead of the one that is saved inside (which is loaded when it is first needed).
            version: an older one, of :meth:`versions`.
            index: the kind that answers searches, one of :data:`reseen.registry.INDEXES`.

        What is damaged is named in :attr:`damage`, and the newest version before it is opened.

        Raises:
            CollectionError: there is no collection. CollectionDamaged: no version of it can be opened.
            FingerprintMismatch: ``descriptor`` is not the one that made the vectors.
        """
        folder = _absolute(path)
        if not folder.is_dir():
            raise CollectionError(
                f"{folder}: there is no such collection; make one with `reseen index PHOTOS --to {folder}`"
            )
        snapshot, damage = open_snapshot(folder, version)
        collection = cls(snapshot, None, damage, index)
        if descriptor is not None:
            collection._require(descriptor)
            collection._encoder = descriptor
        return collection

    @property
    def manifest(self) -> Manifest:
        """What the version that is read is made of."""
        return self._snapshot.manifest

    @property
    def version(self) -> int:
        """The version that is read."""
        return self.manifest.version

    @property
    def fingerprint(self) -> str:
        """Of the descriptor that made the vectors."""
        return self.manifest.fingerprint

    def __len__(self) -> int:
        return len(self._snapshot)

    def photos(self) -> list[Row]:
        """Every photo, sorted by path and name."""
        return sorted(self._snapshot.rows.values(), key=lambda row: (row.path, row.name))

    def labels(self) -> dict[int, str]:
        """Label of every labelled photo, by id."""
        return {row.id: row.label for row in self._snapshot.rows.values() if row.label is not None}

    def vectors(self) -> tuple[Ids, Vectors]:
        """Ids ``(n,)`` int64 and vectors ``(n, dim)`` float32, memory-mapped from a file derived from the table."""
        return self._snapshot.vectors

    def vectors_of(self, ids: Sequence[int]) -> Vectors:
        """Vectors ``(n, dim)`` of photos by their ids, in that order; KeyError for one that is not there."""
        return self._snapshot.vectors_of(ids)

    def features(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Local features of photos, by id; photos without are left out."""
        return self._snapshot.features(ids)

    def get_blob(self, name: str) -> bytes | None:
        """Named bytes, or None; CollectionDamaged when they are not what was kept."""
        return self._snapshot.blob(name)

    def info(self) -> schema.Info:
        """Counts, sizes and the descriptor, JSON-able."""
        return {
            "path": str(self.folder),
            "photos": len(self),
            "labelled": len(self.labels()),
            "version": self.version,
            "recipe": self.manifest.recipe,
            "dim": self.manifest.dim,
            "fingerprint": self.fingerprint,
            "local": self.manifest.local,
            "bytes": self._bytes(),
            "damage": [*self.damage],
        }

    def _bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def versions(self) -> Sequence[int]:
        """Versions that can still be opened, newest first."""
        return manifest_versions(self._snapshot.files)

    def verify(self) -> list[str]:
        """Read everything; the list of problems, empty when the collection is sound."""
        return [*self.damage, *self._snapshot.problems()]

    @property
    def encoder(self) -> Encoder:
        """The descriptor; loaded from the collection when it was not given.

        Raises:
            FingerprintMismatch: the saved descriptor is not the one that made the vectors.
        """
        if self._encoder is None:
            from reseen.descriptor import load

            loaded = load(self.folder / self.manifest.descriptor)
            self._require(loaded)
            self._encoder = loaded
        return self._encoder

    def _require(self, encoder: Encoder) -> None:
        if encoder.fingerprint != self.fingerprint:
            raise FingerprintMismatch(
                f"{self.folder}: its vectors were made by {self.manifest.recipe!r} ({self.fingerprint[:12]}), not by "
                f"{encoder.name!r} ({encoder.fingerprint[:12]}); index into a new collection, or leave the recipe out"
            )

    def query(self, asked: Asked, box: Box | None = None) -> Query:
        """What is asked, as everything here takes it; an id of this collection gets what is kept of its photo.

        Raises:
            CollectionError: there is no photo of that id.
        """
        query = asked if isinstance(asked, Query) else Query(asked, box)
        if query is asked and box is not None:
            raise ValueError("a Query has its own box")
        keeps_features = self.manifest.local != "none"
        if query.id is not None:
            row = self._snapshot.rows.get(query.id)
            if row is None:
                raise CollectionError(f"{query.id}: no such photo in {self.folder}")
            kept = self.features([row.id]) if keeps_features else {}
            features = LocalFeatures.from_bytes(kept[row.id]) if kept else None
            photo = os.fsdecode(row.path) if row.path else None
            query = query.found(row.name, photo, self.vectors_of([row.id])[0], features)
        if keeps_features and query.has_pixels:
            query.looked_at(self._extractor.side)  # as when photos are added, so that vectors are the same
        return query

    def search(
        self,
        query: Asked,
        box: Box | None = None,
        k: int = 10,
        *,
        rerank: str = "auto",
        first: First = "both",
        where: Where | None = None,
    ) -> Ranking:
        """The ``k`` photos most alike what is asked, best first.

        Args:
            query: a photo, the id of a photo of this collection (which is found too, mostly first), a vector ``(dim,)``
                of its descriptor, or a :class:`reseen.Query`.
            box: the part of the photo that is meant.
            k: hits at most.
            rerank: stages that look at the first hits again (:func:`reseen.search.rerank.parse_chain`).
            first: what finds the photos that are looked at again: the vectors (``global``), the words of local features
                (``local``), or ``both``; the vectors alone where there are no local features.
            where: only these photos can be found: ids, or a function of their :class:`Row`.

        Raises:
            PhotoRejected: the query cannot be used. ValueError: k is below 1. RerankError: ``rerank`` is not
            known, or needs local features that this collection does not keep or the query does not have.
            CollectionError: there is no photo of that id.
        """
        asked = self.query(query, box)
        depth = self._chain(rerank, asked).depth
        ranking = self.nearest(asked, max(k, depth) if k > 0 else k, where=where)
        proposed: list[int] = []
        if depth and first != "global" and asked.has_features and self._inverted is not None:
            proposed = self._proposed(asked, ranking, depth, first, where)
            ranking = self._with(ranking, proposed, asked)
        return self.rerank(ranking, asked, rerank, proposed=proposed).top(k)

    def _proposed(self, asked: Query, ranking: Ranking, depth: int, first: First, where: Where | None) -> list[int]:
        """Ids of the photos that the words find, with those of the ranking where ``first`` says so, best first."""
        assert self._inverted is not None
        features = asked.features(self._extractor).inside(asked.box)
        allowed = None if where is None else allowed_ids(where, self._snapshot.rows)
        try:
            found, _ = self._inverted.search([features], depth, allowed)
        except StaleBlock:
            self._inverted = open_inverted(self._snapshot, anew=True)
            assert self._inverted is not None
            found, _ = self._inverted.search([features], depth, allowed)
        words = found[0].tolist()
        return fused([words] if first == "local" else [[hit.id for hit in ranking.hits[:depth]], words], depth)

    def _with(self, ranking: Ranking, photos: Sequence[int], asked: Query) -> Ranking:
        """The ranking and those of some photos that it lacks, all by similarity."""
        held = {hit.id for hit in ranking}
        missing = [photo for photo in photos if photo not in held]
        if not missing:
            return ranking
        rows = [self._snapshot.rows[photo] for photo in missing]
        similar = self.vectors_of(missing) @ self._vector(asked)
        more = (Hit(1, row.id, row.name, float(s), row.label) for row, s in zip(rows, similar, strict=True))
        return ranking.reordered([*ranking, *more])

    @cached_property
    def _inverted(self) -> InvertedFile | None:
        return open_inverted(self._snapshot)

    def nearest(self, query: Asked, k: int = 10, *, where: Where | None = None) -> Ranking:
        """The same without looking again: what the index finds."""
        asked = self.query(query)
        index = self._index
        wanted = [asked.features(self._extractor)] if index.takes == "features" else self._vector(asked)[None]
        allowed = None if where is None else allowed_ids(where, self._snapshot.rows)
        found, scores = index.search(wanted, k, allowed)
        hits: list[Hit] = []
        for score, photo in zip(scores[0].tolist(), found[0].tolist(), strict=True):
            if photo != NOTHING:
                row = self._snapshot.rows[photo]
                hits.append(Hit(len(hits) + 1, row.id, row.name, score, row.label))
        return Ranking(asked.name, asked.box, tuple(hits), no_match=not hits)

    def search_vector(
        self, vector: Vectors, k: int = 10, *, query: str = "<vector>", box: Box | None = None
    ) -> Ranking:
        """:meth:`nearest` of a vector ``(dim,)`` of this collection's descriptor; needs no network."""
        return self.nearest(Query(vector, box, name=query), k)

    def rerank(self, ranking: Ranking, query: Asked, rerank: str = "auto", *, proposed: Sequence[int] = ()) -> Ranking:
        """A ranking of :meth:`nearest`, looked at again by the stages that ``rerank`` names.

        Args:
            ranking: at least as long as the stages look.
            query: what was asked; a :class:`reseen.Query` is not decoded again.
            rerank: see :meth:`search`.
            proposed: ids of the ranking in the order in which they deserve to be verified; its own when empty.
        """
        asked = self.query(query)
        chain = self._chain(rerank, asked)
        return chain(ranking, replace(self._evidence(asked, chain), proposed=proposed)) if chain.stages else ranking

    def search_as_one(
        self,
        queries: Sequence[Asked],
        k: int = 10,
        *,
        against: Sequence[Asked] = (),
        rerank: str = "auto",
        first: First = "both",
        where: Where | None = None,
    ) -> Answer:
        """The ``k`` photos most alike several photos (or boxes in them) of one thing, each looked at with every one.

        Args:
            queries: what :meth:`search` takes; :class:`reseen.Query` for boxes.
            k: hits at most.
            against: examples of what is not meant: what fits one of them better sinks.
            rerank, first, where: see :meth:`search`.

        Raises:
            ValueError: there is no query. Else as :meth:`search`.
        """
        if not queries:
            raise ValueError("ask with one photo at least")
        asked, unlike = ([self.query(one) for one in part] for part in (queries, against))
        every = [*asked, *unlike]
        depths = [max(k, self._chain(rerank, one).depth) if k > 0 else k for one in every]
        found = [
            self.search(one, k=depth, rerank=rerank, first=first, where=where)
            for one, depth in zip(every, depths, strict=True)
        ]
        similarities = [self._similarities(one) for one in every]
        n = len(asked)
        answer = as_one(found[:n], similarities[:n], found[n:], similarities[n:])
        return Answer(answer.ranking.top(k), tuple(ranking.top(k) for ranking in answer.each))

    def _similarities(self, asked: Query) -> Callable[[Sequence[int]], Vectors]:
        vector = self._vector(asked)
        return lambda photos: self.vectors_of(photos) @ vector

    def duplicates(self, *, depth: int = DEPTH, progress: Progress | None = None) -> list[Pair]:
        """Near copies: pairs of photos that are one picture, scaled, compressed, trimmed or recoloured; surest first.

        Args:
            depth: photos that each is compared with, by vectors and by words.
            progress: called with (photos done, photos in all).

        Without local features only vectors tell, and files that are the same.
        """
        exact = same_files(self._snapshot.rows)
        found = near_copies(pairs_within(self._snapshot, depth=depth, progress=progress), self._snapshot.rows)
        listed = {(pair.first, pair.second) for pair in found}
        return [*found, *(pair for pair in exact if (pair.first, pair.second) not in listed)]

    def groups(self, *, sure: float = SURE, depth: int = DEPTH, progress: Progress | None = None) -> list[Group]:
        """Groups of photos of the same thing, the largest first; photos without another of their thing are in none.

        Args:
            sure: probability from which two photos show the same thing.
            depth, progress: see :meth:`duplicates`.

        Raises:
            CollectionError: the collection keeps no local features.
        """
        if self.manifest.local == "none":
            raise CollectionError(
                f"{self.folder}: groups are verified by local features; index into a new collection with --local sift"
            )
        return grouped(pairs_within(self._snapshot, depth=depth, progress=progress), sure=sure)

    def match(self, other: Collection, *, depth: int = DEPTH, progress: Progress | None = None) -> list[Pair]:
        """Every photo of this collection in another: pairs (photo here, photo there), the surest first.

        Args:
            other: looked into; its recipe or its local features are those of this one.
            depth, progress: see :meth:`duplicates`.

        Raises:
            CollectionError: the two cannot be compared.
        """
        return pairs_between(self._snapshot, other._snapshot, depth=depth, progress=progress)

    def rerank_depth(self, rerank: str) -> int:
        """How many hits the stages that ``rerank`` names look at; 0 where there are none."""
        return parse_chain(rerank, features=self.manifest.local != "none").depth

    def verifies(self, rerank: str) -> bool:
        """Whether the stages that ``rerank`` names look at local features."""
        return "features" in parse_chain(rerank, features=self.manifest.local != "none").needs

    def _chain(self, rerank: str, asked: Query) -> Chain:
        """The stages; ``auto`` leaves out what a query without pixels cannot have."""
        kept = self.manifest.local != "none"
        if rerank == "auto":
            return parse_chain(rerank, features=kept and asked.has_features)
        chain = parse_chain(rerank, features=kept)
        if "features" in chain.needs and not asked.has_features:
            raise RerankError(f"geometry needs local features, and {asked.name} has none: ask with the photo")
        return chain

    def _vector(self, asked: Query) -> Vectors:
        return asked.vector(None if asked.has_vector else self.encoder)

    @cached_property
    def _index(self) -> Index:
        ids, vectors = self._snapshot.vectors
        if self._index_class.takes == "vectors":
            return self._index_class.of(ids, vectors)
        kept = self.features(ids.tolist())
        return self._index_class.of(
            np.array([*kept], np.int64), [LocalFeatures.from_bytes(data) for data in kept.values()]
        )

    @cached_property
    def _extractor(self) -> Extractor:
        return create_extractor(self.manifest.local)

    def _evidence(self, query: Query, chain: Chain) -> Evidence:
        """What the stages of a chain may look at."""

        def features(wanted: Sequence[int]) -> list[LocalFeatures | None]:
            kept = self.features(wanted)
            return [LocalFeatures.from_bytes(kept[photo]) if photo in kept else None for photo in wanted]

        evidence = Evidence(
            query,
            self.vectors_of,
            encoder=None if query.has_vector else self.encoder,
            descriptor=self.fingerprint,
        )
        if "features" in chain.needs:
            evidence = replace(evidence, features=features, extractor=self._extractor)
        if "maps" in chain.needs:
            evidence = replace(
                evidence, maps=lambda wanted: [self._maps(photo) for photo in wanted], encoder=self.encoder
            )
        return evidence

    def _maps(self, photo: int) -> FeatureMaps | None:
        """A photo's feature maps, computed again from its file; None for uploads, and where the file is gone."""
        path = self._snapshot.rows[photo].path
        try:
            return self.encoder.photo_maps(os.fsdecode(path)) if path else None
        except PhotoRejected:
            return None

    def add(
        self,
        *paths: PathLike,
        labels: Mapping[PathLike, str] | Mapping[str, str] | None = None,
        label_from_folder: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Index photos: files and folders (recursive). Photos that did not change are not read again.

        A photo that became unreadable keeps what the collection holds of it and is reported; files that are gone
        stay in the collection until they are removed.

        Args:
            paths: files and folders.
            labels: by path (see ``reseen.collections.read_labels``); an empty one takes a label away.
            label_from_folder: the name of each photo's folder is its label; photos that lie directly in one of
                ``paths`` get none from it.
            progress: called with (photos done, photos in all).

        Raises:
            CollectionLocked: another process is writing. CollectionError: the disk is full, or cannot be
            written; what was acknowledged is safe, and the same call finishes the job.
        """
        with self._writing() as writer:
            report = writer.add(self.encoder, list(walk(paths)), labels or {}, label_from_folder, progress)
            open_inverted(writer.snapshot)
            return report

    def sync(
        self,
        *paths: PathLike,
        labels: Mapping[PathLike, str] | Mapping[str, str] | None = None,
        label_from_folder: bool = False,
        dry_run: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Make the collection hold what is at ``paths``: :meth:`add`, and remove those of its photos that are gone.

        A photo is gone when it lay in one of ``paths`` and is no longer there. One that was moved (the bytes of a new
        file are those of a photo that is gone) keeps its id, label, vector and features. Photos from elsewhere stay.

        Args:
            paths, labels, label_from_folder, progress: see :meth:`add`.
            dry_run: say what would be done, and change nothing.
            force: also where every photo of one of ``paths`` is gone, which an unmounted disk looks like.

        Raises:
            CollectionError: everything is gone, or, as for :meth:`add`, it cannot be written.
        """
        found = list(walk(paths))
        with self._writing() as writer:
            plan = syncing.compare(list(writer.snapshot.rows.values()), paths, found)
            if plan.lost and not force:
                raise CollectionError(
                    f"{display(plan.lost[0])}: all photos that were indexed from here are gone; is the disk mounted? "
                    "Nothing was changed; --force removes them"
                )
            if dry_run:
                return plan.report(self.fingerprint)
            writer.move(plan.moved)
            report = writer.add(self.encoder, found, labels or {}, label_from_folder, progress)
            writer.remove(row.id for row in plan.gone)
            report.moved, report.removed = len(plan.moved), len(plan.gone)
            return report

    def add_photos(self, photos: Iterable[tuple[str, PhotoLike]], *, labels: Mapping[str, str] | None = None) -> Report:
        """Index uploads: (name, photo) pairs, photos as bytes, PIL images or arrays; a name used before is updated."""
        with self._writing() as writer:
            report = writer.add_photos(self.encoder, photos, labels or {})
            open_inverted(writer.snapshot)
            return report

    def add_local_features(self, local: str = "sift", *, progress: Progress | None = None) -> Report:
        """Local features of the photos that lack them, read again from their files; nothing else changes.

        Begun work goes on where it stopped; a photo whose file is gone or changed is reported and stays as it is.

        Args:
            local: see :meth:`create`; a collection that keeps some takes no others.
            progress: called with (photos done, photos in all).

        Raises:
            CollectionError: it keeps others, or cannot be written.
        """
        held = self.manifest.local
        if held in ("none", full_name(local)):
            held = full_name(local)
        elif held.partition("-")[0] != local:
            raise CollectionError(f"{self.folder}: keeps {held}; index into a new collection for {local}")
        with self._writing() as writer:
            report = writer.fill_local(held, progress)
            open_inverted(writer.snapshot)
            return report

    def remove(self, *photos: int | PathLike) -> int:
        """Remove photos by id, path, or folder; returns how many. CollectionError names one that is not there."""
        with self._writing() as writer:
            gone = _matching(writer.snapshot, photos)
            writer.remove(gone)
            return len(gone)

    def set_labels(self, labels: Mapping[int, str | None]) -> None:
        """Label photos by id; None takes a label away. CollectionError names an id that is not there."""
        with self._writing() as writer:
            writer.set_labels(labels)

    def put_blob(self, name: str, data: bytes) -> None:
        """Keep named bytes (a threshold, say) with the collection, as its next version."""
        with self._writing() as writer:
            writer.put_blob(name, data)

    def use_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Search by the words of this vocabulary from now on, instead of the shipped one.

        Raises:
            CollectionError: it was not learned from features of this collection's extractor and settings.
        """
        if not vocabulary.fits(self.manifest.local):
            raise CollectionError(
                f"{self.folder}: the vocabulary is of {vocabulary.kind} features, and the collection keeps "
                f"{self.manifest.local}: learn one from its photos with `reseen vocabulary`"
            )
        data = vocabulary.to_bytes()
        if self.get_blob(OWN) != data:
            self.put_blob(OWN, data)

    def replace_descriptor(self, descriptor: Encoder, ids: Ids, vectors: Vectors) -> None:
        """Swap the descriptor and every vector in one version.

        ``vectors (n, dim)`` are ``descriptor``'s, of the photos ``ids (n,)``: each photo of the collection once.
        """
        with self._writing() as writer:
            writer.replace_descriptor(descriptor, ids, vectors)
            self._encoder = descriptor

    def go_back(self, version: int) -> None:
        """Take a change of the descriptor back: what an older version held is the newest again, photos and all.

        Raises:
            CollectionError: there is no such version any more, or it has the same descriptor.
        """
        with writing.writing(self.folder, self.wait_s, self.waiting) as writer:
            writer.go_back(version)
            self._turn_to(writer.snapshot)
            self._encoder = None

    def compact(self, *, grace_s: float = GRACE_S) -> int:
        """Merge small files and remove what no version younger than ``grace_s`` needs; returns bytes freed."""
        before = self._bytes()
        with self._writing() as writer:
            writer.compact(grace_s)
        return before - self._bytes()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Writer]:
        """The only writer of the collection; every version it acknowledges is the one that is read afterwards."""
        with writing.writing(self.folder, self.wait_s, self.waiting) as writer:
            if writer.snapshot.manifest.fingerprint != self.fingerprint:
                raise CollectionError(f"{self.folder}: its descriptor was replaced meanwhile; open it again")
            try:
                yield writer
            finally:
                self._turn_to(writer.snapshot)


def _absolute(path: PathLike) -> Path:
    return Path(os.path.abspath(os.fsdecode(path)))


def _matching(snapshot: Snapshot, photos: Sequence[int | PathLike]) -> set[int]:
    """Ids of the photos that ids, paths, folders and uploads' names mean; CollectionError names what means none."""
    ids = {given: str(given) for given in photos if isinstance(given, int)}
    paths = [given for given in photos if not isinstance(given, int)]
    texts = {os.path.abspath(os.fsencode(given)): display(given) for given in paths}
    uploads = {os.fsdecode(given): os.path.abspath(os.fsencode(given)) for given in paths}
    gone = ids.keys() & snapshot.rows.keys()
    met: set[bytes] = set()
    for row in snapshot.rows.values():
        keys = {*_and_folders(row.path)} if row.path else {uploads.get(row.name, b"")}
        if found := keys & texts.keys():
            gone.add(row.id)
            met |= found
    missing = [*(text for given, text in ids.items() if given not in gone), *(texts[key] for key in texts.keys() - met)]
    if missing:
        raise CollectionError(f"{min(missing)}: no such photo in {snapshot.folder}; nothing was removed")
    return gone


def _and_folders(path: bytes) -> Iterator[bytes]:
    """A path and all folders that it lies in."""
    while True:
        yield path
        above = os.path.dirname(path)
        if above == path:
            return
        path = above
