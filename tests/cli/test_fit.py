"""``reseen fit``: what a recipe needs from photos, learned and saved; what it refuses, in one line."""

import json

import pytest
import tomli_w

from reseen.descriptor import load

SELECTIVE = {
    "images": {"longest": 96},
    "backbone": {"name": "timm:resnet10t", "layers": ["layer4"], "weights": "random"},
    "head": {"kind": "selective", "d": 8, "k": 20, "sample": 150},
    "projection": [{"kind": "rn"}, {"kind": "power", "exponent": 0.5}],
}


@pytest.fixture
def recipe(tmp_path):
    """Writes a recipe file with some settings changed; gives its path."""

    def write(name="mine", **changes):
        path = tmp_path / f"{name}.toml"
        path.write_text(tomli_w.dumps({**SELECTIVE, **changes}))
        return path

    return write


def test_a_fitted_folder_goes_through_index_search_and_evaluate(tmp_path, recipe, paint, call):
    photos = tmp_path / "photos"
    paths = paint(photos, 24)
    (photos / "bad.jpg").write_bytes(b"")
    fitted = tmp_path / "fitted"
    code, out, err = call("fit", recipe(), photos, "--to", fitted, "--json")
    report = json.loads(out)
    assert code == 0 and err == ""
    assert report["dim"] == 8 * 20 and report["found"] == 25 and report["photos"] == 24
    assert report["rejected"] == [{"path": str(photos / "bad.jpg"), "reason": "the file is empty"}]
    assert report["fingerprint"] == load(fitted).fingerprint
    assert load(fitted).recipe.source == "learned on 24 photos of photos"  # for the cards of evaluations

    again = json.loads(call("fit", recipe(), photos, "--to", tmp_path / "again", "--json")[1])
    assert again["fingerprint"] == report["fingerprint"]
    other = json.loads(call("fit", recipe(), photos, "--to", fitted, "--seed", 1, "--json")[1])
    assert other["fingerprint"] != report["fingerprint"]

    assert call("index", photos, "--to", tmp_path / "m", "--recipe", fitted, "-q")[0] == 0
    hits = json.loads(call("search", tmp_path / "m", paths[3], "--json")[1])["hits"]
    assert hits[0]["path"] == str(paths[3]) and hits[0]["similarity"] == pytest.approx(1, abs=1e-4)
    names = [f"photos/{path.name}" for path in paths]
    queries = [{"image": names[i], "box": None, "positives": [names[i]], "junk": []} for i in range(3)]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"name": "mine", "database": names, "queries": queries}))
    code, out, _ = call("evaluate", manifest, "--recipe", fitted, "--cache", tmp_path / "cache", "--json")
    assert code == 0 and json.loads(out)["runs"][0]["recipe"] == "mine"


def test_learning_takes_a_bounded_number_of_photos(tmp_path, recipe, paint, call):
    paint(tmp_path / "photos", 30)
    arguments = ("fit", recipe(), tmp_path / "photos", "--to", tmp_path / "fitted", "--most", 20)
    code, _, err = call(*arguments)
    assert code == 0 and "learned from 20 of 30 photos; 160 dimensions" in err


def test_another_descriptors_network_feeds_the_recipe(tmp_path, recipe, make, paint, call):
    photos = paint(tmp_path / "photos", 24)
    seeded = {"name": "timm:resnet10t", "layers": ["layer4"], "weights": "random", "seed": 7}
    donor = make(name="donor", backbone=seeded, head={"kind": "mac"})
    donor.save(tmp_path / "donor")
    code, _, _ = call(
        "fit", recipe(), tmp_path / "photos", "--to", tmp_path / "fitted", "--network", tmp_path / "donor", "-q"
    )
    fitted = load(tmp_path / "fitted", engine="torch")
    assert code == 0 and fitted.name == "mine+donor"
    (own,), (lent,) = fitted.maps(photos[:1]), donor.maps(photos[:1])
    assert own.maps[0].equal(lent.maps[0])


def test_what_cannot_be_fitted_is_one_line(tmp_path, recipe, make, paint, call):
    few = tmp_path / "few"
    paint(few, 1)
    (tmp_path / "empty").mkdir()
    to = tmp_path / "fitted"
    earlier = {"name": "timm:resnet10t", "layers": ["layer3"], "weights": "random"}
    make(name="short", backbone=earlier, head={"kind": "mac"}).save(tmp_path / "short")
    make(name="other", backbone={**earlier, "name": "timm:resnet18"}, head={"kind": "mac"}).save(tmp_path / "other")
    full = tmp_path / "full"
    paint(full, 1)
    cases = [
        (1, (recipe(), few), "add photos"),
        (1, (recipe(), tmp_path / "empty"), "there are no photos here"),
        (1, (recipe(), tmp_path / "gone"), "no such file or folder"),
        (1, ("nope", few), "there is no recipe 'nope'"),
        (1, (recipe("lw", projection=[{"kind": "lw"}]), few), "reseen train"),
        (1, (recipe("mac", head={"kind": "mac"}, projection=[]), few), "nothing to learn"),
        (1, (recipe("wide", head={"kind": "selective", "d": 4096}), few), "local PCA keeps 1 to 512"),
        (1, (recipe("thin", head={"kind": "selective", "d": 8, "k": 16}), few), "nothing left"),
        (1, (recipe("odd", head={"kind": "selective", "mask": "min"}), few), "none, sift, sum, max"),
        (1, (recipe(), few, "--network", tmp_path / "other"), "needs 'timm:resnet10t'"),
        (2, (recipe(), few, "--network", tmp_path / "short", "--weights", "random"), "exclude"),
        (2, (recipe(), few, "--to", full), "holds something else"),
    ]
    for expected, (name, photos, *others), message in cases:
        code, _, err = call("fit", name, photos, "--to", to, *others)
        assert (code, message in err) == (expected, True), (name, code, err)
        assert len(err.strip().splitlines()) == 1, err
    assert not to.exists()


def test_a_network_that_stops_too_early_is_named(tmp_path, paint, call):
    paint(tmp_path / "photos", 1)
    lite0 = {"name": "efficientnet-lite0", "layers": ["blocks.4"], "weights": "bundled"}
    short = {**SELECTIVE, "backbone": lite0, "head": {"kind": "mac"}, "projection": []}
    (tmp_path / "short.toml").write_text(tomli_w.dumps(short))
    (tmp_path / "deep.toml").write_text(tomli_w.dumps({**SELECTIVE, "backbone": {**lite0, "layers": ["head"]}}))
    arguments = ("fit", tmp_path / "deep.toml", tmp_path / "photos", "--to", tmp_path / "fitted")
    code, _, err = call(*arguments, "--network", tmp_path / "short.toml")
    assert code == 1 and "reads head, but the network of 'short' ends at blocks.4" in err


def test_projections_that_need_pairs_get_them(tmp_path, recipe, paint, call):
    for i in range(5):
        paint(tmp_path / "classes" / str(i), 3, start=3 * i)
    lda = recipe("lda", head={"kind": "gem"}, projection=[{"kind": "lda", "dim": 4, "shrinkage": 0.3}])
    photos = paint(tmp_path / "more", 2, start=90)
    (photos[0]).write_bytes(b"")
    fitted = tmp_path / "fitted"
    code, out, _ = call(
        "fit", lda, tmp_path / "more", "--pairs", f"folders:{tmp_path / 'classes'}", "--to", fitted, "--json"
    )
    report = json.loads(out)
    assert code == 0 and report["dim"] == 4 and report["found"] == 17 and report["photos"] == 16
    assert load(fitted).recipe.source == f"learned on 16 photos of more, folders:{tmp_path.name}/classes"
    assert call("fit", lda, "--to", tmp_path / "n")[0] == 2
    code, _, err = call("fit", lda, "--pairs", f"folders:{tmp_path / 'more'}", "--to", tmp_path / "n")
    assert code == 1 and "no two photos match" in err and len(err.strip().splitlines()) == 1
