"""What encoding leaves as it was: torch's threads, the head, its device and mode."""

import numpy as np
import pytest
import torch

from reseen.descriptor.runtime.threads import share_threads


@pytest.fixture
def threads():
    """Torch has one thread more than a network gets."""
    before = torch.get_num_threads()
    torch.set_num_threads(share_threads()[0] + 1)
    yield torch.get_num_threads()
    torch.set_num_threads(before)


@pytest.fixture
def counted(make, monkeypatch):
    """A descriptor, and the threads that its network and its head had each time."""
    descriptor, seen = make(), []
    engine, pool = descriptor._engine, descriptor.head.pool

    def call(self, pixels):
        seen.append(torch.get_num_threads())
        return type(engine).__call__(self, pixels)

    monkeypatch.setattr(
        descriptor,
        "_engine",
        type("Counting", (type(engine),), {"__call__": call})(descriptor.backbone, engine.precision, engine.device),
    )
    monkeypatch.setattr(descriptor.head, "pool", lambda *a: seen.append(torch.get_num_threads()) or pool(*a))
    return descriptor, seen


def test_interleaved_streams_have_their_threads_and_leave_those_of_others(counted, threads, files):
    descriptor, seen = counted
    first, second = (descriptor.stream(files, batch_size=1) for _ in range(2))
    maps = descriptor.maps(files, batch_size=1)
    for _ in zip(first, second, maps, strict=True):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == threads
    assert set(seen) == {threads - 1} and len(seen) == 5 * len(files)


def test_a_stream_that_is_left_takes_no_threads(make, threads, files):
    stream = make().stream(files, batch_size=1)
    next(stream)
    assert torch.get_num_threads() == threads
    stream.close()
    assert torch.get_num_threads() == threads


def test_the_head_is_not_moved(make, files):
    descriptor = make(head={"kind": "gem"})
    expected = descriptor.encode(files[:2])
    head = descriptor.head
    assert descriptor.head_on("cpu") is head
    elsewhere = descriptor.head_on("meta")
    assert elsewhere.p.device.type == "meta" and head.p.device.type == "cpu"
    assert descriptor.head_on("meta") is elsewhere
    np.testing.assert_array_equal(descriptor.encode(files[:2]), expected)


def test_a_head_in_training_mode_stays_in_it_and_encodes_without(make, files):
    descriptor = make(head={"kind": "instance", "grid": 1, "dim": 4, "classes": 3, "hidden": [8]})
    expected = descriptor.encode(files[:2])
    cells = descriptor.photo_maps(files[0])
    part = (0, 0, 2, 2)
    parts = descriptor.pool_parts(cells, [part])
    descriptor.head.train()
    np.testing.assert_allclose(descriptor.encode(files[:2]), expected, atol=1e-6)
    np.testing.assert_allclose(descriptor.pool_parts(cells, [part]), parts, atol=1e-6)
    assert descriptor.head.training


def test_dimensions_come_from_the_settings(make):
    descriptor = make(projection=[{"kind": "pca", "dim": 6}, {"kind": "power"}])
    assert not descriptor.fitted and descriptor.dim == 6
    assert make(projection=[{"kind": "rn"}]).dim == make().dim == 512
