"""Is it there at all? Answers with half of the objects taken out of the collection.

    python -m research.unknown [--photos ../shared/data] [--threshold 0.5]

Each development set is a collection of its own, from which the photos of half of its objects are taken, three times.
Every query is searched as a user's is (vectors and words propose 50 photos, geometry looks at them); the first hit is
the answer where its probability reaches the threshold. Probabilities and the order are learned on the other sets.
"""

from __future__ import annotations

import numpy as np
from research.shortlists import LEARNED, Shown, arguments, first_of, learn, read_sets, shown

from reseen.evaluation.measures.statistics import interval
from reseen.search.geometry.probability import Calibration
from reseen.types import Values

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


Answer = tuple[bool, bool, float]
"""Is the query's object there, is the first hit right, and how probable is that hit."""


def answers(found: Shown, calibration: Calibration) -> list[Answer]:
    """Of every query with a match, with half of the objects taken out, three times."""
    given = []
    for half in found.halves:
        first = first_of(half.looked, calibration.order)
        given.append((half.known, bool(first.truth[0]), float(calibration.probabilities(first.seen)[0])))
    return given


def share(of: Values) -> str:
    low, high = interval(of)
    return f"{100 * of.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


def line(name: str, found: list[Answer], threshold: float) -> str:
    known, right, likely = (np.array(column) for column in zip(*found, strict=True))
    missed = ~(right & (likely >= threshold))[known]
    named = (likely >= threshold)[~known]
    return f"| {name} | {known.sum()} | {share(missed * 1.0)} | {(~known).sum()} | {share(named * 1.0)} |"


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--threshold", type=float, default=0.5, help="on the probability of the first hit")
    args = parser.parse_args()
    found = {photos.benchmark.name: shown(photos) for photos in read_sets(LEARNED, args.photos, args.cache, args.step)}
    every: list[Answer] = []
    print("| set | known | missed or wrong, % | unknown | named, % |\n|---|---|---|---|---|")
    for name in args.sets:
        given = answers(found[name], learn({other: s for other, s in found.items() if other != name}))
        print(line(name, given, args.threshold), flush=True)
        every += given
    for threshold in sorted({*THRESHOLDS, args.threshold}):
        print(line(f"all, threshold {threshold}", every, threshold))


if __name__ == "__main__":
    main()
