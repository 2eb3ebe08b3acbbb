from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from reseen.errors import PhotoSetError
from reseen.images import Longest
from reseen.photosets import join, parse, read_photo_set
from reseen.photosets.colmap import models_in, read_reconstruction, reconstructions
from reseen.training.settings import Pairs, TrainingSettings
from reseen.training.tuples import choose_pairs
from reseen.training.views import ViewReader

pycolmap = pytest.importorskip("pycolmap")

CAMERAS = [  # x of the camera, its distance from the wall, focal length in pixels, photo's width
    (0.0, 4.0, 400.0, 400),
    (0.2, 4.0, 400.0, 400),
    (0.5, 8.0, 400.0, 400),  # twice as far: half the scale
    (0.3, 8.0, 1600.0, 800),  # twice as far, twice the focal length: the same scale
    (6.0, 4.0, 400.0, 400),  # elsewhere on the wall
]


def wall(prefix="", cameras=CAMERAS):
    """A wall of points a tenth apart, seen straight on."""
    model = pycolmap.Reconstruction()
    points = [np.array([x / 10, y / 10, 0.0]) for x in range(-20, 90) for y in range(-10, 11)]
    numbers = [model.add_point3D(xyz, pycolmap.Track(), np.zeros(3, np.uint8)) for xyz in points]
    for i, (x, distance, focal, width) in enumerate(cameras, 1):
        camera = pycolmap.Camera(
            model="PINHOLE", width=width, height=width // 2, params=[focal, focal, width / 2, width / 4], camera_id=i
        )
        model.add_camera_with_trivial_rig(camera)
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(), np.array([-x, 0.0, distance]))
        seen, places = [], []
        for number, xyz in zip(numbers, points, strict=True):
            place = camera.img_from_cam(pose * xyz)
            if place is not None and 0 <= place[0] < width and 0 <= place[1] < width // 2:
                seen.append(number)
                places.append(place)
        image = pycolmap.Image(f"{prefix}{i}.jpg", np.array(places), i, i)
        model.add_image_with_trivial_frame(image, pose)
        for row, number in enumerate(seen):
            model.add_observation(number, pycolmap.TrackElement(i, row))
    return model


def written(folder, model, text=False):
    folder.mkdir(parents=True)
    (model.write_text if text else model.write_binary)(str(folder))
    return folder


def touch(folder, model):
    for image in model.images.values():
        (folder / image.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / image.name).write_bytes(b"")


@pytest.mark.parametrize("text", [False, True])
def test_cameras_points_and_visibility_of_a_model(tmp_path, text):
    got = read_reconstruction(written(tmp_path / "0", wall(), text))
    assert got.photos == tuple(f"{i}.jpg" for i in range(1, 6))
    np.testing.assert_allclose(got.centres, [[x, 0, -d] for x, d, _, _ in CAMERAS], atol=1e-6)
    np.testing.assert_allclose(got.scales, [1 / 4, 1 / 4, 1 / 8, 1 / 4, 1 / 4], rtol=1e-6)
    visible = got.visible.toarray()
    assert visible.shape == (5, 110 * 21)
    # at a distance of 4 the first camera sees 4 units across and 2 high
    assert visible[0].sum() == 40 * 20 and (visible[0] & visible[4]).sum() == 0
    assert (visible[0] & visible[1]).sum() == 38 * 20


def test_positives_follow_the_text(tmp_path):
    """Eqs. 6 to 8: m2 takes the most shared points, m3 refuses another scale and too small an overlap."""
    model = wall()
    touch(tmp_path / "images", model)
    data = reconstructions(written(tmp_path / "sparse" / "0", model).parent)
    assert [p.name for p in data.photos] == [f"{i}.jpg" for i in range(1, 6)] and data.unpaired.all()
    reader = ViewReader(data, TrainingSettings().views, Longest(64))

    def pairs(**options):
        settings = TrainingSettings(pairs=Pairs(share=1.0, **options))
        found = choose_pairs(data, settings, reader, lambda views: pytest.fail("nothing is encoded"))
        return dict(found.pairs.tolist())

    shared = data.geometry.visible.astype(int) @ data.geometry.visible.astype(int).T
    assert shared[[0], :].toarray()[0].tolist() == [800, 760, 800, 740, 0]
    m2 = pairs(rule="m2")
    assert (m2[0], m2[4]) == (2, 2)
    m3 = pairs(rule="m3")
    assert set(m3) == {0, 1, 3} and {choose(data, seed) for seed in range(25)} == {
        1,
        3,
    }  # 2 is at half the scale, 4 shares no point


def choose(data, seed):
    """What m3 draws for the first photo."""
    from reseen.training.mining.positives import choose_positives, nearest_cameras

    query = np.array([0])
    pools = nearest_cameras(query, data.geometry.centres, data.clusters)
    geometry = data.geometry
    return int(choose_positives("m3", query, pools, visible=geometry.visible, scales=geometry.scales, seed=seed)[0])


def test_models_are_clusters_that_do_not_overlap(tmp_path):
    large, small = wall("a/"), wall("b/", CAMERAS[:2])
    twice = wall("a/", CAMERAS[:3])
    for model in (large, small):
        touch(tmp_path / "images", model)
    for number, model in enumerate((small, twice, large)):
        written(tmp_path / "sparse" / str(number), model)
    (tmp_path / "images" / "b" / "2.jpg").unlink()
    assert [p.name for p in models_in(tmp_path)] == ["0", "1", "2"]
    data = read_photo_set(parse(f"colmap:{tmp_path}"))
    names = [p.relative_to(tmp_path / "images").as_posix() for p in data.photos]
    assert names == [*(f"a/{i}.jpg" for i in range(1, 6)), "b/1.jpg"]
    assert data.clusters.tolist() == [0, 0, 0, 0, 0, 2]
    assert [line.split(": ")[1] for line in data.skipped] == [
        "1 photos of its models are not here",
        "3 photos are in another, larger model too",
    ]
    visible = data.geometry.visible.toarray()
    assert not (visible[:5].any(0) & visible[5]).any()  # other models' points are other points
    elsewhere = reconstructions(tmp_path / "sparse", tmp_path / "images")
    assert elsewhere.fingerprint == data.fingerprint


def test_sets_with_geometry_are_joined_with_it(tmp_path):
    for name in "ab":
        model = wall(f"{name}/", CAMERAS[:3])
        touch(tmp_path / name / "images", model)
        written(tmp_path / name / "sparse", model)
    a, b = (reconstructions(tmp_path / name) for name in "ab")
    both = join([a, b])
    assert both.geometry.visible.shape == (6, 2 * 110 * 21)
    np.testing.assert_allclose(both.geometry.scales, [*a.geometry.scales, *b.geometry.scales])
    kept = both.keep(np.array([False, True, True, True, True, True]))
    assert (kept.geometry.visible.toarray() == both.geometry.visible.toarray()[1:]).all()
    assert join([a, replace(b, geometry=None)]).geometry is None


def test_what_cannot_be_read_is_said(tmp_path, monkeypatch):
    model = wall(cameras=CAMERAS[:2])
    folder = written(tmp_path / "m", model)
    with pytest.raises(PhotoSetError, match="none of the 2 photos"):
        reconstructions(folder)
    with pytest.raises(PhotoSetError, match="there is no model of COLMAP"):
        read_photo_set(parse(f"colmap:{tmp_path / 'none'}"))
    for name in ("images.bin", "points3D.bin", "cameras.bin"):
        whole = (folder / name).read_bytes()
        for length in (len(whole) // 2, 9, 0):  # COLMAP's own reader does not return from some of them
            (folder / name).write_bytes(whole[:length])
            with pytest.raises(PhotoSetError, match="not a model of COLMAP that can be read"):
                read_reconstruction(folder)
        (folder / name).write_bytes(whole)
    assert len(read_reconstruction(folder).photos) == 2
    without = written(tmp_path / "without", wall(cameras=[(0.0, -4.0, 400.0, 400)]))
    with pytest.raises(PhotoSetError, match="has a pose and sees a point"):
        read_reconstruction(without)
    monkeypatch.setitem(__import__("sys").modules, "pycolmap", None)
    with pytest.raises(PhotoSetError, match=r"reseen\[mine\]"):
        read_reconstruction(folder)


def test_visible_is_what_the_miner_takes(tmp_path):
    got = read_reconstruction(written(tmp_path / "0", wall()))
    assert isinstance(got.visible, csr_array) and got.visible.dtype == bool
