"""Learn what the geometry of a shortlist is worth, and how likely hits are right, and write it into the package.

    python -m tools.calibrate_geometry [--photos ../shared/data] [--write]

Learned on the shortlists of 50 that the default descriptor and the words find, and on their first hits while half of
the objects are gone. Each set is scored by what the other sets teach: log loss, and a reliability table of predicted
and observed shares. Geometry alone has also learned from painted pages of words in one typeface: many of their matches
agree although they are not the same thing.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from research.shortlists import (
    KINDS,
    LEARNED,
    TYPEFACES,
    Shown,
    arguments,
    first_of,
    learn,
    pages,
    read_sets,
    shown,
)

import reseen.search.geometry
from reseen.search.geometry.probability import Calibration

EDGES = (0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0001)


def report(name: str, found: Shown, calibration: Calibration) -> None:
    """Print how well the probabilities hold on a set that they were not learned on, and what geometry convinces of."""
    whole = found.whole
    true = np.concatenate([looked.truth for looked in whole])
    sure = np.concatenate([calibration.verified(looked.seen) for looked in whole])
    print(f"{name} ({KINDS[name]}): verified {sure[true].mean():.1%} of true pairs, {sure[~true].mean():.2%} of others")
    firsts = [first_of(half.looked, calibration.order) for half in found.halves]
    for what, looked in (("first hits, half of the objects gone", firsts), ("all hits, nothing gone", whole)):
        truth = np.concatenate([one.truth for one in looked])
        guess = np.concatenate([calibration.probabilities(one.seen) for one in looked])
        loss = -np.mean(np.log(np.where(truth, guess, 1 - guess).clip(1e-9)))
        print(f"  {what}: {truth.sum()} of {len(truth)} right, log loss {loss:.3f}")
        for low, high in pairwise(EDGES):
            rows = (guess >= low) & (guess < high)
            if rows.any():
                span = f"{low:.2f} to {min(high, 1):.2f}"
                print(
                    f"    {span}: predicted {guess[rows].mean():.3f}, observed {truth[rows].mean():.3f}, {rows.sum()}"
                )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--write", action="store_true", help="write calibration.json into the package")
    args = parser.parse_args()
    found = {}
    for photos in read_sets(LEARNED, args.photos, args.cache, args.step):
        found[photos.benchmark.name] = shown(photos)
        print(f"verified the shortlists of {photos.benchmark.name}", flush=True)
    for name, each in found.items():
        report(name, each, learn({other: s for other, s in found.items() if other != name}))
    shipped = learn(found)
    words = shipped.verified(pages(TYPEFACES[2:]))
    print(f"pages of words in two other typefaces: {len(words)} pairs, verified: {words.mean():.1%}")
    values = {
        "command": "python -m tools.calibrate_geometry --write",
        "learned_on": [*found],
        **shipped.to_json(),
    }
    print(json.dumps(values, indent=2))
    if args.write:
        path = Path(reseen.search.geometry.__path__[0]) / "calibration.json"
        path.write_text(json.dumps(values, indent=2) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
