"""Learn the probability of a true match from verified shortlists, and write it into the package.

    python -m tools.calibrate_geometry [--photos ../shared/data] [--write]

Pairs are every query with the 50 photos that the default descriptor finds first: what the probability is asked about.
Each set is scored by what the other sets teach: log loss, and a reliability table of predicted and observed shares,
both kinds of pairs weighing as if one photo of fifty were right. Painted pages of words in one typeface are learned
from too: many of their matches agree although they are not the same thing.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from research.shortlists import (
    LEARNED,
    PRIOR,
    SETS,
    TYPEFACES,
    Verified,
    arguments,
    learn,
    of_shortlists,
    pages,
    read_sets,
)

import reseen.search.geometry
from reseen.search.geometry.probability import Calibration

EDGES = (0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0001)


def report(name: str, verified: Verified, calibration: Calibration) -> None:
    """Print how well the calibration's probabilities hold on pairs that it was not learned on."""
    true, weights = verified.truth, verified.weights()
    guess = np.array([calibration.probability(pair) for pair in verified.pairs])
    loss = -np.sum(weights * np.log(np.where(true, guess, 1 - guess).clip(1e-9)))
    base = -(PRIOR * np.log(PRIOR) + (1 - PRIOR) * np.log(1 - PRIOR))
    print(f"{name}: {true.sum()} true and {(~true).sum()} other pairs, log loss {loss:.4f} (a constant: {base:.4f});")
    above = guess > 0.5
    print(f"  above 0.5: {above[true].mean():.1%} of the true pairs, {above[~true].mean():.2%} of the others")
    for low, high in pairwise(EDGES):
        rows = (guess >= low) & (guess < high)
        if rows.any():
            predicted, observed = (np.average(x[rows], weights=weights[rows]) for x in (guess, true))
            shown = f"{low:.2f} to {min(high, 1):.2f}"
            print(f"  {shown}: predicted {predicted:.3f}, observed {observed:.3f}, {rows.sum()} pairs")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.set_defaults(sets=SETS)
    parser.add_argument("--write", action="store_true", help="write calibration.json into the package")
    args = parser.parse_args()
    names = [name for name in SETS if name in {*LEARNED, *args.sets}]
    found = {}
    for photos in read_sets(names, args.photos, args.cache, args.step):
        found[photos.benchmark.name] = of_shortlists(photos)
        print(f"verified the shortlists of {photos.benchmark.name}", flush=True)
    for name, verified in found.items():
        report(name, verified, learn([found[other] for other in LEARNED if other != name]))
    shipped = learn([found[name] for name in LEARNED])
    chances = [shipped.probability(pair) for pair in pages(TYPEFACES[2:])]
    above = np.mean([chance > 0.5 for chance in chances])
    print(f"pages of words in two other typefaces: {len(chances)} pairs, above 0.5: {above:.1%}")
    values = {
        "command": "python -m tools.calibrate_geometry --write",
        "learned_on": list(LEARNED),
        **shipped.to_json(),
    }
    print(json.dumps(values, indent=2))
    if args.write:
        path = Path(reseen.search.geometry.__path__[0]) / "calibration.json"
        path.write_text(json.dumps(values, indent=2) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
