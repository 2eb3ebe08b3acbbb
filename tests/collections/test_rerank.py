"""Local features beside the vectors, and searching with them."""

import cv2
import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection
from reseen.search import Query
from reseen.search.local import LocalFeatures
from reseen.search.page import Page
from reseen.search.rerank import RerankError


def painting(seed):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (45, 60, 3), dtype=np.uint8), (480, 360), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory, make):
    """Eight paintings, one blank photo, and a collection of them with local features."""
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "photos").mkdir()
    for seed in range(8):
        Image.fromarray(painting(seed)).save(folder / "photos" / f"{seed}.png")
    Image.new("RGB", (480, 360), "grey").save(folder / "photos" / "blank.png")
    collection = Collection.create(folder / "gallery.reseen", make(), local="sift")
    collection.add(folder / "photos")
    return collection


@pytest.fixture
def visit():
    """Painting 5 seen askew before a bright wall."""
    frame = np.float32([[0, 0], [480, 0], [480, 360], [0, 360]])
    view = cv2.getPerspectiveTransform(frame, np.float32([[60, 270], [270, 240], [320, 420], [90, 440]]))
    return cv2.warpPerspective(painting(5), view, (600, 500), borderValue=(250, 240, 130))


def test_geometry_lifts_and_explains_the_right_photo(gallery, visit):
    plain = gallery.search(visit, k=9, rerank="none")
    ranking = gallery.search(visit, k=1)
    assert all(hit.match is None for hit in plain)
    assert ranking[0].path.endswith("5.png")
    assert ranking[0].score > 0.5 + next(hit.score for hit in plain if hit.path.endswith("5.png"))
    assert ranking[0].match.probability > 0.9
    assert len(ranking) == 1
    assert gallery.search(visit, k=1) == ranking


def test_features_are_kept_for_every_photo_and_go_with_it(gallery, tmp_path):
    kept = gallery.features([row.id for row in gallery.photos()])
    sizes = {row.name.rsplit("/", 1)[1]: len(LocalFeatures.from_bytes(kept[row.id])) for row in gallery.photos()}
    assert sizes["blank.png"] == 0
    assert min(n for name, n in sizes.items() if name != "blank.png") > 50


def test_a_blank_query_keeps_the_order_of_the_vectors(gallery):
    blank = np.full((300, 400, 3), 130, np.uint8)
    blank[0] = 131
    before, after = gallery.search(blank, rerank="none"), gallery.search(blank, rerank="geometry")
    assert [hit.id for hit in before] == [hit.id for hit in after]


def test_without_local_features(tmp_path, make, paint):
    paint(tmp_path / "photos", 5)
    collection = Collection.create(tmp_path / "plain.reseen", make(), local="none")
    collection.add(tmp_path / "photos")
    query = tmp_path / "photos" / "0002.png"
    assert collection.search(query) == collection.search(query, rerank="none")
    with pytest.raises(RerankError, match="--local sift"):
        collection.search(query, rerank="geometry")
    found = collection.search(query, k=2, rerank="superglobal+diffusion")
    assert found[0].path == str(query)
    assert len(found) == 2


def written(path, query, ranking):
    page = Page()
    page.add(query, ranking)
    page.write(path)
    return path.read_text()


def test_the_page_draws_region_and_lines(gallery, visit, tmp_path):
    query = Query(visit)
    ranking = gallery.search(query, k=3)
    text = written(tmp_path / "page.html", query, ranking)
    assert text.count("data:image/jpeg;base64,") == 4
    assert text.count('<figure class="match">') == sum(hit.match.probability >= 0.5 for hit in ranking) == 1
    lines = len(ranking[0].match.lines)
    assert 30 < text.count("<line ") == len(range(0, lines, -(-lines // 60)))
    assert f"{ranking[0].match.inliers} places agree" in text
    x, y = ranking[0].match.outline[0]
    assert f'<polygon points="{x:.1f},{y:.1f} ' in text
    assert "<line " not in written(tmp_path / "plain.html", query, gallery.search(query, k=3, rerank="none"))


def test_a_photo_is_on_the_page_once(gallery, tmp_path):
    row = gallery.photos()[3]
    query = gallery.query(row.id)
    text = written(tmp_path / "page.html", query, gallery.search(query, k=3))
    assert text.count("data:image/jpeg;base64,") == 3


def test_localisation_computes_maps_again(gallery, visit, tmp_path):
    plain = {hit.id: hit.score for hit in gallery.search(visit, k=9, rerank="none")}
    found = gallery.search(visit, k=9, rerank="localise:4")
    assert {hit.id for hit in found} == set(plain)
    assert any(hit.score > plain[hit.id] for hit in found)
    assert all(hit.score != plain[hit.id] for hit in found)  # the expanded query scores those that have no box too
    boxed = gallery.search(visit, box=(50, 230, 330, 450), k=9, rerank="localise")
    assert len(boxed) == 9
