import numpy as np

from reseen.search.geometry.voting import agreeing


def seen(n, seed, turn=40.0, growth=0.5, shift=(30, -20)):
    """``n`` matches under one similarity transform, and their frames."""
    rng = np.random.default_rng(seed)
    query = rng.uniform(-300, 300, (n, 2)).astype(np.float32)
    angle, scale = np.deg2rad(turn), 2**growth
    spin = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    photo = (query @ spin.T + shift).astype(np.float32)
    frames = np.stack([rng.integers(0, 256, n), rng.integers(30, 100, n)], 1)
    moved = np.stack([(frames[:, 0] + round(turn * 256 / 360)) % 256, frames[:, 1] + round(16 * growth)], 1)
    return query, photo, frames.astype(np.uint8), moved.astype(np.uint8)


def mixed(true, false, seed=0, **view):
    """True matches first, then matches of random places, directions and sizes."""
    rng = np.random.default_rng(seed + 99)
    here, there = seen(true, seed, **view), seen(false, seed + 1)
    q, p, a, b = (np.concatenate(pair) for pair in zip(here, there, strict=True))
    p[true:] = rng.uniform(-300, 300, (false, 2))
    b[true:] = rng.integers(0, 256, (false, 2))
    return q, p, a, b


def test_ten_true_matches_among_a_hundred_false_ones_are_found():
    found = agreeing(*mixed(10, 100))
    assert found[:10].all()
    assert found[10:].sum() <= 2


def test_unrelated_matches_hardly_agree():
    assert max(agreeing(*mixed(0, 100, seed)).sum() for seed in range(20)) < 8


def test_a_perspective_view_is_within_the_cone():
    query, _, frames, _ = seen(40, 3, turn=0, growth=0)
    photo = query / (1 + 0.0004 * query[:, :1])
    assert agreeing(query, photo.astype(np.float32), frames, frames).sum() > 35


def test_directions_and_sizes_must_agree_too():
    query, photo, frames, moved = seen(30, 5)
    turned = moved.copy()
    turned[10:, 0] += np.arange(20, dtype=np.uint8) * 12 + 30
    assert agreeing(query, photo, frames, turned).sum() < 20
    grown = moved.copy()
    grown[10:, 1] += 40
    found = agreeing(query, photo, frames, grown)
    assert found[:10].all()
    assert not found[10:].any()


def test_directions_wrap_around():
    query, photo, frames, moved = seen(30, 6, turn=359)
    assert agreeing(query, photo, frames, moved).all()


def test_turned_views_are_refused_when_upright_is_asked_for():
    view = seen(30, 7, turn=90)
    assert agreeing(*view).all()
    assert not agreeing(*view, upright=True).any()
    assert agreeing(*seen(30, 7, turn=20), upright=True).all()
