import cv2
import numpy as np
import pytest

from reseen.scenes import MANNERS, paint


@pytest.mark.parametrize("manner", list(MANNERS))
def test_each_manner_is_a_repeatable_picture_with_something_in_it(manner):
    first, again, other = (paint(number, manner, longest=200).pixels for number in (4, 4, 5))
    assert first.dtype == np.uint8 and first.ndim == 3 and max(first.shape) == 200
    assert np.array_equal(first, again)
    assert first.std() > 4
    assert first.shape != other.shape or np.abs(first.astype(int) - other).mean() > 4


def test_sixty_paintings_are_sixty_different_pictures():
    small = [cv2.resize(paint(n, longest=160).pixels, (12, 12), interpolation=cv2.INTER_AREA) for n in range(60)]
    rows = np.stack([s.astype(float).ravel() for s in small])
    apart = np.abs(rows[:, None] - rows[None]).mean(-1) + 1000 * np.eye(60)
    assert apart.min() > 5


def test_manners_take_turns():
    assert {paint(n, longest=40).manner for n in range(len(MANNERS))} == set(MANNERS)
