"""Learn what the geometry of a shortlist is worth, and how likely hits are right, and write it into the package.

    python -m tools.calibrate_geometry [--photos ../shared/data] [--write]

Learned on the shortlists of 50 that the default descriptor finds. Each set is scored by what the other sets teach: log
loss, and a reliability table of predicted and observed shares. Geometry alone has also learned from painted pages of
words in one typeface: many of their matches agree although they are not the same thing.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from research.shortlists import KINDS, LEARNED, TYPEFACES, Looked, arguments, learn, of_shortlists, pages, read_sets

import reseen.search.geometry
from reseen.search.geometry.probability import Calibration

EDGES = (0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0001)


def report(name: str, shortlists: list[Looked], calibration: Calibration) -> None:
    """Print how well the probabilities hold on pairs that they were not learned on, and what geometry convinces of."""
    true = np.concatenate([looked.truth for looked in shortlists])
    guess = np.concatenate([calibration.probabilities(looked.seen) for looked in shortlists])
    sure = np.concatenate([calibration.verified(looked.seen) for looked in shortlists])
    loss = -np.mean(np.log(np.where(true, guess, 1 - guess).clip(1e-9)))
    share = true.mean()
    base = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    print(f"{name} ({KINDS[name]}): {true.sum()} true, {(~true).sum()} other pairs; log loss {loss:.3f} ({base:.3f})")
    print(f"  verified: {sure[true].mean():.1%} of the true pairs, {sure[~true].mean():.2%} of the others")
    for low, high in pairwise(EDGES):
        rows = (guess >= low) & (guess < high)
        if rows.any():
            shown = f"{low:.2f} to {min(high, 1):.2f}"
            print(
                f"  {shown}: predicted {guess[rows].mean():.3f}, observed {true[rows].mean():.3f}, {rows.sum()} pairs"
            )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--write", action="store_true", help="write calibration.json into the package")
    args = parser.parse_args()
    found = {}
    for photos in read_sets(LEARNED, args.photos, args.cache, args.step):
        found[photos.benchmark.name] = of_shortlists(photos)
        print(f"verified the shortlists of {photos.benchmark.name}", flush=True)
    for name, shortlists in found.items():
        report(name, shortlists, learn({other: s for other, s in found.items() if other != name}))
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
