from __future__ import annotations

import numpy as np
import pytest

from reseen.images import Longest
from reseen.photosets import class_folders, join, references
from reseen.training.batches import Stretch, batches
from reseen.training.distributed import Workers
from reseen.training.settings import TrainingSettings, Views
from reseen.training.tuples import choose_pairs
from reseen.training.views import ViewReader


@pytest.fixture
def world(classes):
    data = join([class_folders(classes), references(classes / "c0")])
    reader = ViewReader(data, Views(virtual=(48, 48)), Longest(64), workers=2)
    return choose_pairs(data, TrainingSettings(), reader, lambda views: pytest.fail("nothing is mined")), reader


def stretch(data, size: int, negatives: int = 2) -> Stretch:
    order = np.arange(len(data.pairs))[:size]
    rows = np.stack([(data.pairs[order, 0] + 4 * (i + 1)) % 32 for i in range(negatives)], 1)
    return Stretch(0, order, 0, size, rows)


def seen(batch) -> list[tuple[bytes, ...]]:
    """The pixels of each tuple's photos."""
    who = batch.tuples
    rows = np.concatenate([who.query[:, None], who.positive[:, None], who.negatives], 1)
    return [tuple(batch.photos[i].tobytes() for i in row if i >= 0) for row in rows]


def test_batches_hold_the_tuples_in_order_and_each_photo_once(world):
    data, reader = world
    got = list(batches(data, reader, stretch(data, 10), size=4, done=0, share=Workers()))
    assert [b.size for b in got] == [4, 4, 2]
    assert [len(b.tuples) for b in got] == [4, 4, 2]
    for batch in got:
        assert len({p.tobytes() for p in batch.photos}) == len(batch.photos)
    for batch, rows in zip(got, (range(4), range(4, 8), range(8, 10)), strict=True):
        query = batch.tuples.labels[batch.tuples.query].tolist()
        assert query == data.clusters[data.pairs[list(rows), 0]].tolist()
        assert (batch.tuples.labels[batch.tuples.positive] == batch.tuples.labels[batch.tuples.query]).all()


def test_a_stretch_goes_on_where_it_was_left(world):
    data, reader = world
    whole = list(batches(data, reader, stretch(data, 12), size=4, done=0, share=Workers()))
    rest = list(batches(data, reader, stretch(data, 12), size=4, done=4, share=Workers()))
    assert [seen(b) for b in rest] == [seen(b) for b in whole[1:]]


def test_workers_share_each_batch(world):
    data, reader = world
    whole = list(batches(data, reader, stretch(data, 9), size=4, done=0, share=Workers()))
    parts = [list(batches(data, reader, stretch(data, 9), size=4, done=0, share=Workers(i, 2))) for i in range(2)]
    for batch, first, second in zip(whole, *parts, strict=True):
        assert first.size == second.size == batch.size
        both = [seen(first) if first.tuples else [], seen(second) if second.tuples else []]
        assert sorted(both[0] + both[1]) == sorted(seen(batch))
        assert both[0] == seen(batch)[::2]


def test_unreadable_photos_take_their_tuples_or_their_place_among_the_negatives(world):
    data, reader = world
    s = stretch(data, 8)
    query = int(data.pairs[s.order[5], 0])
    reader.rejected[query] = "bad"
    (batch,) = batches(data, reader, s, size=8, done=0, share=Workers())
    gone = (data.pairs[s.order] == query).any(1)
    assert batch.size == 8
    assert len(batch.tuples) == 8 - int(gone.sum())
    assert int((batch.tuples.negatives < 0).sum()) == int((s.negatives[~gone] == query).sum())
    reader.rejected.update(dict.fromkeys(range(len(data.photos)), "bad"))
    (batch,) = batches(data, reader, s, size=8, done=0, share=Workers())
    assert batch.tuples is None
    assert not batch.photos
