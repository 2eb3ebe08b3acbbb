from dataclasses import replace

import numpy as np
import pytest

from reseen.search import Query
from reseen.search.ranking import Hit, Match, Ranking
from reseen.search.rerank import Evidence, parse_chain
from reseen.search.rerank.base import RerankError, permuted
from reseen.search.rerank.neighbours import (
    DiffusionStage,
    ReciprocalStage,
    SuperGlobalStage,
    VerifiedExpansionStage,
    diffuse,
    k_reciprocal,
    superglobal,
)


def unit(x):
    return (x / np.linalg.norm(x, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def world():
    """Twelve photos along an arc that starts at the query, and eighteen others nearer to the query than its end."""
    rng = np.random.default_rng(0)
    angles = np.linspace(0.2, 1.45, 12)
    arc = np.zeros((12, 40))
    arc[:, 0], arc[:, 1] = np.cos(angles), np.sin(angles)
    noise = np.zeros((18, 40))
    noise[:, 0] = 0.35
    noise[np.arange(18), 2 + np.arange(18)] = 1
    noise += rng.normal(0, 0.01, noise.shape)
    query = np.zeros(40)
    query[0] = 1
    return unit(query), unit(np.concatenate([arc, noise]))


def ranked(query, vectors):
    order = np.argsort(-(vectors @ query), kind="stable")
    hits = [Hit(rank, int(i), None, float(vectors[i] @ query)) for rank, i in enumerate(order, 1)]
    return Ranking("q", None, tuple(hits))


def evidence(query, vectors):
    return Evidence(Query(query), lambda ids: vectors[list(ids)])


def places(ranking):
    return [hit.rank for hit in ranking if hit.id < 12]


@pytest.mark.parametrize("stage", [SuperGlobalStage(), DiffusionStage()])
def test_each_stage_follows_the_arc_past_the_others(world, stage):
    before = ranked(*world)
    after = stage(before, evidence(*world))
    assert sum(places(after)) < sum(places(before))
    assert {hit.id for hit in after} == {hit.id for hit in before}
    assert before == ranked(*world)


@pytest.mark.parametrize("stage", [SuperGlobalStage(), DiffusionStage(), ReciprocalStage(), VerifiedExpansionStage()])
def test_short_and_empty_shortlists(world, stage):
    query, vectors = world
    empty = Ranking("q", None, ())
    assert stage(empty, evidence(query, vectors)) == empty
    for n in (1, 2):
        assert len(stage(ranked(query, vectors).top(n), evidence(query, vectors))) == n


def test_neighbours_that_do_not_return_it_sink():
    rng = np.random.default_rng(0)
    query = np.eye(40)[0]
    true = 0.6 * query + 0.6 * np.eye(40)[1]
    groups = [np.eye(40)[2 + g] for g in range(3)]
    false = [0.75 * query + 0.66 * group for group in groups]
    others = [0.5 * query + 0.85 * group for group in groups for _ in range(10)]
    vectors = unit(np.array([*[true] * 6, *false, *others]) + rng.normal(0, 0.03, (39, 40)))
    before = ranked(unit(query), vectors)
    after = ReciprocalStage(k1=8, k2=1, balance=0.1)(before, evidence(unit(query), vectors))
    assert {hit.id for hit in before.top(3)} == {6, 7, 8}
    assert {hit.id for hit in after.top(6)} == set(range(6))


def test_diffusion_solves_its_equation(world):
    query, vectors = world
    heat = diffuse(query, vectors, neighbours=29, alpha=0.5, gamma=1, start=30)
    graph = np.maximum(vectors @ vectors.T, 0).astype(float)
    np.fill_diagonal(graph, 0)
    degree = np.sqrt(graph.sum(1))
    normal = graph / degree[:, None] / degree
    flow = np.zeros(30)
    first = np.maximum(vectors @ query, 0)
    for _ in range(200):
        flow = 0.5 * normal @ flow + first
    np.testing.assert_allclose(heat, flow, rtol=1e-4, atol=1e-5)


def published_superglobal(query, vectors, neighbours, beta, pool):
    """The published modules' steps, one hit at a time."""
    refined = []
    for x in vectors:
        order = sorted(range(len(vectors)), key=lambda i: -float(x @ vectors[i]))[: neighbours + 1]
        weights = [1.0] + [beta * float(x @ vectors[i]) for i in order[1:]]
        refined.append(sum(w * vectors[i] for w, i in zip(weights, order, strict=True)) / sum(weights))
    first = [float(r @ query) for r in refined]
    best = sorted(range(len(vectors)), key=lambda i: -first[i])[: neighbours + 1]
    pooled = pool([refined[i] for i in best], axis=0)
    return [(a + float(r @ pooled)) / 2 for a, r in zip(first, refined, strict=True)]


@pytest.mark.parametrize(("name", "pool"), [("max", np.max), ("mean", np.mean)])
def test_superglobal_follows_the_published_steps(world, name, pool):
    query, vectors = world
    found = superglobal(query, vectors, 4, 0.15, name)
    np.testing.assert_allclose(found, published_superglobal(query, vectors, 4, 0.15, pool), atol=1e-5)


def published_reciprocal(query, vectors, k1, k2, balance):
    """The published steps with sets, one photo at a time."""
    everyone = np.concatenate([query[None], vectors]).astype(np.float64)
    distance = 2 - 2 * everyone @ everyone.T
    distance = np.maximum(distance, 0) / distance.max(1, keepdims=True)
    order = np.argsort(distance, 1, kind="stable")
    total = len(everyone)

    def near(i, k):
        return {int(j) for j in order[i, : k + 1] if i in order[j, : k + 1]}

    encoded = np.zeros((total, total))
    for i in range(total):
        members = set(near(i, k1))
        for j in near(i, k1):
            if len(near(j, k1 // 2) & near(i, k1)) > 2 / 3 * len(near(j, k1 // 2)):
                members |= near(j, k1 // 2)
        for j in members:
            encoded[i, j] = np.exp(-distance[i, j])
        encoded[i] /= encoded[i].sum()
    expanded = np.stack([encoded[order[i, :k2]].mean(0) for i in range(total)])
    jaccard = [1 - np.minimum(expanded[0], row).sum() / np.maximum(expanded[0], row).sum() for row in expanded[1:]]
    return (1 - balance) * np.array(jaccard) + balance * distance[0, 1:]


@pytest.mark.parametrize("k2", [1, 4])
def test_k_reciprocal_follows_the_published_steps(k2):
    around = np.random.default_rng(4).normal(0, 0.6, (31, 12)) + np.eye(12)[np.arange(31) % 3]
    query, *vectors = unit(around)
    vectors = np.stack(vectors)
    found = k_reciprocal(query, vectors, k1=8, k2=k2, balance=0.3)
    np.testing.assert_allclose(found, published_reciprocal(query, vectors, 8, k2, 0.3), atol=1e-5)


def test_only_verified_hits_expand_the_query(world):
    query, vectors = world
    before = ranked(query, vectors)
    assert VerifiedExpansionStage()(before, evidence(query, vectors)) is before

    def verified(ids):
        hits = [
            Hit(h.rank, h.id, h.path, h.score, match=Match(probability=0.99 if h.id in ids else 0.1)) for h in before
        ]
        return Ranking("q", None, tuple(hits))

    right = VerifiedExpansionStage()(verified({3, 4, 5}), evidence(query, vectors))
    assert sum(places(right)) < sum(places(before))
    weights = np.maximum(vectors[[3, 4, 5]] @ query, 0)
    expanded = unit(query + weights @ vectors[[3, 4, 5]])
    assert {h.id: h.score for h in right}[9] == pytest.approx(float(vectors[9] @ expanded), abs=1e-5)


def test_permuted_hits_stand_under_the_scores_that_were_there(world):
    before = ranked(*world)
    after = permuted(before, [0, 1, 2])
    assert [h.id for h in after][:3] == [h.id for h in before][2::-1]
    assert [h.score for h in after] == [h.score for h in before]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("magic", "not known"),
        ("geometry+", "not known"),
        ("superglobal+superglobal", "twice"),
        ("expansion", "before it"),
        ("expansion+geometry", "before it"),
        ("geometry:0", "option '0' of geometry is not known; use a number of hits, mirror, upright"),
        ("geometry:sideways", "'sideways'"),
        ("diffusion:mirror", "use a number of hits$"),
        ("geometry:", "option ''"),
    ],
)
def test_chains_that_make_no_sense(text, message):
    with pytest.raises(RerankError, match=message):
        parse_chain(text, features=True)


def test_names_and_what_chains_need():
    assert parse_chain("none", features=False).name == "none"
    assert parse_chain("auto", features=False).name == "none"
    auto = parse_chain("auto", features=True)
    assert (auto.name, auto.needs) == ("geometry+superglobal", {"features"})
    chain = parse_chain("geometry+expansion+superglobal", features=True)
    assert (chain.name, chain.depth) == ("geometry+expansion+superglobal", 100)
    with pytest.raises(RerankError, match="--local sift"):
        parse_chain("geometry", features=False)


def test_a_chain_applies_its_stages_in_order(world):
    query, vectors = world
    chain = parse_chain("superglobal+diffusion", features=False)
    once = DiffusionStage()(SuperGlobalStage()(ranked(query, vectors), evidence(*world)), evidence(*world))
    assert chain(ranked(query, vectors), evidence(*world)) == once


def test_options_of_stages():
    chain = parse_chain("geometry:200:mirror+diffusion:30", features=True)
    first, second = chain.stages
    assert (first.depth, first.settings.mirror, first.settings.upright) == (200, True, False)
    assert second.depth == 30
    assert chain.depth == 200
    assert parse_chain("geometry:upright", features=True).stages[0].settings.upright


def test_what_geometry_put_first_stays_first():
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(30, 8)))
    vectors[5:] = unit(vectors[5:] * 0.2 + vectors[7])
    ids = np.argsort(-vectors @ vectors[7])
    hits = [Hit(n, int(i), None, float(vectors[i] @ vectors[7])) for n, i in enumerate(ids, 1)]
    first = replace(hits[-1], rank=1, score=2.0, match=Match(inliers=30))
    ranking = Ranking("q", None, (first, *(replace(hit, rank=hit.rank + 1) for hit in hits[:-1])))
    evidence = Evidence(Query(vectors[7]), lambda wanted: vectors[list(wanted)])
    after = SuperGlobalStage()(ranking, evidence)
    assert after[0].id == first.id and [hit.id for hit in after] != [hit.id for hit in ranking]
