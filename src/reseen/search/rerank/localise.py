"""Where in a photo's map the query is: approximate max-pooling localisation (Tolias et al., 2016, Section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.encoder import Encoder
from reseen.search.ranking import Ranking
from reseen.search.rerank.base import Evidence, RerankError, rescored
from reseen.types import Cells, FeatureMaps, Values, Vectors


@dataclass(frozen=True)
class Localisation:
    """Settings of the search for a box, as R-MAC's published code and siaMAC's R use them.

    Args:
        exponent: of the power mean that stands for the maximum (AML, Eq. 8).
        step: boxes of the first search start and end at multiples of it, and at the far edge.
        aspect: a box's width over height is at most this many times the query's, or as many times less.
        rounds: refinements of the best box.
        reach: each refinement moves one side by up to so many cells.
    """

    exponent: float = 10.0
    step: int = 3
    aspect: float = 1.1
    rounds: int = 5
    reach: int = 3


def mac(maps: NDArray[np.float32]) -> Values:
    """Maxima ``(C,)`` of a map ``(C, h, w)``, negative values clamped at 0, of unit length (siaMAC, Eq. 1)."""
    return _unit(np.maximum(maps, 0).max((1, 2)).astype(np.float64))


def integral(maps: NDArray[np.float32], exponent: float) -> tuple[Values, Values]:
    """Integral image ``(h + 1, w + 1, C)`` of ``(max(x, 0) / peak)^exponent``, and the peak of each channel ``(C,)``.

    Dividing by the peak keeps the power within float64's range; differences of the sums round to about 3e-16, so that
    a box whose values all lie below 3 % of the peak may get up to 3 % of it.
    """
    x = np.maximum(maps, 0).astype(np.float64)
    peak = x.max((1, 2))
    powers = (x / np.maximum(peak, 1e-12)[:, None, None]) ** exponent
    sums = np.zeros((x.shape[1] + 1, x.shape[2] + 1, len(x)))
    sums[1:, 1:] = powers.cumsum(1).cumsum(2).transpose(1, 2, 0)
    return sums, peak


def box_similarities(sums: Values, peak: Values, query: Values, boxes: NDArray[np.int64], exponent: float) -> Values:
    """Cosine ``(n,)`` of a query ``(C,)`` with approximate maxima of boxes ``(n, 4)``: x0, y0, x1, y1 (exclusive)."""
    x0, y0, x1, y1 = boxes.T
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return np.asarray(_unit(peak * np.maximum(inside, 0) ** (1 / exponent)) @ query)


def candidate_boxes(height: int, width: int, aspect: float, settings: Localisation) -> NDArray[np.int64]:
    """Boxes ``(n, 4)`` of the first search; where none has the aspect, those that come nearest to it."""
    xs = _spans(width, settings.step)
    ys = _spans(height, settings.step)
    boxes = np.concatenate(
        [np.repeat(xs, len(ys), 0)[:, :1], np.tile(ys, (len(xs), 1))[:, :1],
         np.repeat(xs, len(ys), 0)[:, 1:], np.tile(ys, (len(xs), 1))[:, 1:]], axis=1
    )  # fmt: skip
    away = _away(boxes, aspect)
    fits = away <= np.log(settings.aspect) + 1e-9
    kept = fits if fits.any() else away <= away.min() + 1e-9
    return np.asarray(boxes[kept])


def locate(
    query: Values, maps: NDArray[np.float32], aspect: float, settings: Localisation | None = None
) -> tuple[Cells, float]:
    """The box of a map ``(C, h, w)`` that is most like the query, and its cosine.

    The best candidate is refined side by side: each may move by up to ``reach`` cells, whatever the aspect becomes,
    until nothing gets better or the rounds are over.

    Args:
        query: unit maxima ``(C,)`` of the query, :func:`mac`.
        maps: of the photo; negative values count as 0.
        aspect: width over height of the query's map.
        settings: of the search.
    """
    chosen = settings or Localisation()
    sums, peak = integral(maps, chosen.exponent)
    _, height, width = maps.shape
    boxes = candidate_boxes(height, width, aspect, chosen)
    similar = box_similarities(sums, peak, query, boxes, chosen.exponent)
    best, score = boxes[int(similar.argmax())], float(similar.max())
    for _ in range(chosen.rounds):
        before = score
        for side in range(4):
            moved = np.repeat(best[None], 2 * chosen.reach + 1, 0)
            moved[:, side] += np.arange(-chosen.reach, chosen.reach + 1)
            x0, y0, x1, y1 = moved.T
            moved = moved[(x0 >= 0) & (y0 >= 0) & (x1 <= width) & (y1 <= height) & (x0 < x1) & (y0 < y1)]
            similar = box_similarities(sums, peak, query, moved, chosen.exponent)
            if similar.max() > score:
                best, score = moved[int(similar.argmax())], float(similar.max())
        if score <= before:
            break
    x0, y0, x1, y1 = (int(v) for v in best)
    return (x0, y0, x1, y1), score


def _unit(x: Values) -> Values:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12))


def _spans(length: int, step: int) -> NDArray[np.int64]:
    starts = np.arange(0, length, step)
    ends = np.append(np.arange(step, length, step), length)
    return np.array([(a, b) for a in starts for b in ends if a < b], np.int64)


def _away(boxes: NDArray[np.int64], aspect: float) -> Values:
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    return np.asarray(np.abs(np.log(width / height / aspect)))


@dataclass(frozen=True)
class LocaliseStage:
    """siaMAC's R: boxes found by MAC, scored by the descriptor of the box; then the query's expansion with the best.

    The whole ranking is scored by one rule: the (expanded) query against the descriptor of each hit's box. The box of a
    hit beyond ``depth``, or of one without a map, is the whole photo.

    Args:
        depth: hits that are localised.
        expand: the query is averaged with the descriptors of so many best boxes, and the boxes scored again; 0 to
            leave it out.
        settings: of the search for boxes.
    """

    depth: int = 1000
    expand: int = 5
    settings: Localisation = Localisation()
    name: str = "localise"
    needs: frozenset[str] = frozenset({"maps"})

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """See :class:`Stage`; where no hit has a map the ranking is left as it is."""
        encoder = evidence.encoder
        if evidence.maps is None or encoder is None or "maps" not in encoder.gives:
            raise RerankError("localise needs feature maps: of the query, of the photos, and vectors of their parts")
        top = ranking.hits[: self.depth]
        shown = _one_layer(evidence.query.maps(encoder), encoder)
        query, aspect = mac(shown), shown.shape[2] / shown.shape[1]
        boxes: dict[int, Vectors] = {}
        for row, maps in enumerate(evidence.maps([hit.id for hit in top])):
            if maps is not None:
                box, _ = locate(query, _one_layer(maps, encoder), aspect, self.settings)
                boxes[row] = encoder.pool_parts(maps, [box])[0]
        if not boxes:
            return ranking
        asked = evidence.vector
        if self.expand:
            located = np.stack(list(boxes.values()))
            best = np.argsort(-(located @ asked), kind="stable")[: self.expand]
            asked = asked + located[best].sum(0)
            asked = asked / max(float(np.linalg.norm(asked)), 1e-12)
        vectors = np.array(evidence.vectors([hit.id for hit in ranking.hits]))
        for row, vector in boxes.items():
            vectors[row] = vector
        return rescored(ranking, vectors @ asked)


def _one_layer(maps: FeatureMaps, encoder: Encoder) -> NDArray[np.float32]:
    """The map of a network that is read at one layer."""
    if len(maps) != 1:
        raise RerankError(f"localise looks at one layer, and {encoder.name!r} reads {len(maps)}")
    return maps[0]
