import cv2
import numpy as np

from reseen.scenes import VisitSettings, paint, visit

CALM = VisitSettings(
    sizes=((640, 480),),
    scale=(0.5, 0.5),
    tilt=0,
    roll=0,
    off_centre=0,
    framed=0,
    gradient=0,
    cast=0,
    exposure=(1, 1),
    blur_width=0,
    noise=0,
    glare=0,
    visitor=0,
    quality=(98, 98),
)


def test_the_polygon_is_where_the_painting_hangs():
    painting = paint(0, "geometry", longest=400).pixels
    height, width = painting.shape[:2]
    scene = visit(painting, np.random.default_rng(0), CALM, [paint(1, "waves", longest=300).pixels])
    assert scene.pixels.shape == (480, 640, 3)
    assert np.ptp(scene.polygon, axis=0).max() == 320
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    back = cv2.getPerspectiveTransform(scene.polygon, corners)
    seen = cv2.warpPerspective(scene.pixels, back, (width, height)).astype(float)
    smooth = cv2.GaussianBlur(painting, (0, 0), 1.5).astype(float)
    inner = (slice(10, -10), slice(10, -10))
    same = np.corrcoef(np.ravel(seen[inner]), np.ravel(smooth[inner]))[0, 1]
    assert same > 0.8


def test_visits_are_repeatable_and_differ():
    paintings = [paint(n, longest=240).pixels for n in range(4)]
    first, again, other = (visit(paintings[0], np.random.default_rng((9, n)), others=paintings[1:]) for n in (0, 0, 1))
    assert np.array_equal(first.pixels, again.pixels) and np.array_equal(first.polygon, again.polygon)
    assert first.pixels.dtype == np.uint8 and {first.pixels.shape, other.pixels.shape} <= {
        (768, 1024, 3),
        (1024, 768, 3),
    }
    assert not np.array_equal(first.polygon, other.polygon)
    x0, y0, x1, y1 = first.box
    assert x1 - x0 > 100 and y1 - y0 > 60
