"""A network is converted and compiled once, and what is kept of it gives the same vectors."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import reseen
from reseen.cli.main import run
from reseen.descriptor import Recipe, assemble, load, loading
from reseen.descriptor.runtime import engines, kept
from reseen.descriptor.runtime.network import KnownNetwork

pytest.importorskip("openvino", reason="the fast extra is optional")

RECIPE = Recipe.from_dict(
    {
        "name": "small",
        "images": {"longest": 128},
        "backbone": {"name": "efficientnet-lite0", "layers": ["blocks.6"], "weights": "bundled"},
        "head": {"kind": "rmac"},
    }
)
RUNTIME = {"engine": "openvino", "precision": "float32"}
PHOTOS = [np.random.default_rng(i).integers(0, 256, (97 + 5 * i, 131, 3), np.uint8) for i in range(3)]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """What a first process leaves: (saved descriptor, cache); and its descriptor and vectors."""
    saved, cache = tmp_path_factory.mktemp("saved"), tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESEEN_CACHE", str(cache))
        made = assemble(RECIPE, {}, **RUNTIME)
        vectors = made.encode(PHOTOS)
    made.save(saved)
    return saved, cache, made, vectors


@pytest.fixture
def entry(tmp_path, monkeypatch, first):
    """The network that is kept, in a cache of the test's own."""
    shutil.copytree(first[1], tmp_path / "cache")
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "cache"))
    (found,) = (tmp_path / "cache" / "networks").iterdir()
    return found


@pytest.fixture
def refuse(monkeypatch):
    """From now on nothing may be converted, and no network made."""

    def refused(*_args, **_options):
        pytest.fail("was made again")

    def arm():
        monkeypatch.setattr(engines, "_converted", refused)
        monkeypatch.setattr(loading, "create_backbone", refused)

    return arm


def test_a_second_process_makes_no_network_and_gives_the_same_vectors(first, entry, refuse):
    saved, _, made, vectors = first
    refuse()
    again = load(saved, **RUNTIME)
    assert np.array_equal(again.encode(PHOTOS), vectors)
    assert again.fingerprint == made.fingerprint and again.dim == made.dim and again.runtime == made.runtime
    assert again.replace(projection=None).fingerprint == made.fingerprint


def test_the_network_is_made_where_it_is_needed(first, entry):
    saved, _, made, vectors = first
    again = load(saved, **RUNTIME)
    assert again.replace().backbone is again.backbone
    again = load(saved, **RUNTIME)
    by_torch = again.replace(engine="torch").encode(PHOTOS)
    assert ((by_torch * vectors).sum(1) > 0.9999).all()
    assert [layer.receptive_field for layer in again.backbone.layers] == [
        layer.receptive_field for layer in made.backbone.layers
    ]
    assert again.fingerprint == made.fingerprint
    with_pads = again.encode(PHOTOS, [(10, 10, 60, 60)] * 3, crop="padded")
    assert np.array_equal(with_pads, made.encode(PHOTOS, [(10, 10, 60, 60)] * 3, crop="padded"))


def test_a_damaged_entry_is_made_again_and_the_user_is_told_once(first, entry, refuse, tmp_path, paint, capsys):
    saved, _, _, vectors = first
    sound = entry.read_bytes()
    entry.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    paint(tmp_path / "photos", 2)
    asked = ["index", str(tmp_path / "photos"), "--recipe", str(saved), "--local", "none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "pick_precision", lambda *_: "float32")
        assert run([*asked, "--to", str(tmp_path / "quiet"), "--quiet"]) == 0
        assert "prepared" not in capsys.readouterr().err
        entry.write_bytes(sound[:-1])
        assert run([*asked, "--to", str(tmp_path / "c")]) == 0
        told = capsys.readouterr().err
        assert told.count("prepared the network") == 1 and str(entry.parent) in told
        refuse()
        assert run(["search", str(tmp_path / "c"), str(tmp_path / "photos" / "0000.png")]) == 0
    assert "prepared" not in capsys.readouterr().err
    assert kept.read(entry.name) is not None
    assert np.array_equal(load(saved, **RUNTIME).encode(PHOTOS), vectors)


def test_what_openvino_does_not_take_is_made_again(entry, first, monkeypatch):
    class Made(Exception):
        pass

    def made(*_args):
        raise Made

    kept.keep(entry.name, b"no network")
    monkeypatch.setattr(engines, "_converted", made)
    with pytest.raises(Made):
        load(first[0], **RUNTIME).encode(PHOTOS)


def test_without_a_cache_all_goes_on(first, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "file"))
    with caplog.at_level("INFO", "reseen"):
        assert np.array_equal(load(first[0], **RUNTIME).encode(PHOTOS), first[3])
    assert not caplog.records


def test_a_network_is_kept_under_all_that_it_depends_on(first, monkeypatch):
    class Processor:
        def __init__(self, name):
            self.name = name

        def get_property(self, _device, name):
            return f"{name} of {self.name}"

    network = KnownNetwork.of(first[2].backbone)
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    name = next(iter(network.tensors))
    changed = network.tensors[name].copy()
    changed.flat[0] = np.nextafter(changed.flat[0], 2)
    here = Processor("this one")
    keys = [
        engines._key(network, here, settings),
        engines._key(replace(network, tensors={**network.tensors, name: changed}), here, settings),
        engines._key(replace(network, layers=("head",)), here, settings),
        engines._key(replace(network, name="resnet50"), here, settings),
        engines._key(network, here, {**settings, "INFERENCE_PRECISION_HINT": "bf16"}),
        engines._key(network, here, {**settings, "INFERENCE_NUM_THREADS": 2}),
        engines._key(network, Processor("another"), settings),
    ]
    with monkeypatch.context() as patch:
        patch.setattr(reseen, "__version__", "next")
        keys.append(engines._key(network, here, settings))
    with monkeypatch.context() as patch:
        patch.setattr(engines, "_code", lambda: "changed")
        keys.append(engines._key(network, here, settings))
    with monkeypatch.context() as patch:
        patch.setattr(engines.metadata, "version", lambda package: f"next {package}")
        keys.append(engines._key(network, here, settings))
    with monkeypatch.context() as patch:
        patch.setattr(engines, "_INPUT", (1, 512, 512, 3))
        keys.append(engines._key(network, here, settings))
    assert len(set(keys)) == len(keys)
    assert engines._key(network, here, settings) == keys[0]


def test_a_network_of_a_plugin_is_not_kept(first):
    network = KnownNetwork.of(first[2].backbone)
    core, settings = engines._openvino("float32", 1)
    assert engines._key(network, core, settings)
    assert engines._key(replace(network, name="mine"), core, settings) is None


def test_only_openvino_on_the_cpu_asks_for_what_is_kept(first, entry):
    network = KnownNetwork.of(first[2].backbone)
    threads = loading.share_threads()[0]
    assert engines.is_compiled(network, **RUNTIME, threads=threads)
    assert not engines.is_compiled(network, engine="torch", precision="float32", threads=threads)
    assert not engines.is_compiled(network, engine="auto", precision="float32", device="cuda", threads=threads)
