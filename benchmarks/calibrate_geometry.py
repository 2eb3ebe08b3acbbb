"""Learn the probability of a true match and write it into the package.

    python benchmarks/calibrate_geometry.py --photos ../shared/data --cache CACHE [--write]

Pairs: each query with its matches and with random photos of other things. Both kinds weigh as if one photo of a
shortlist of fifty were right. Each set is also scored by what the other sets teach: log loss, and a
reliability table of predicted against observed shares.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
from shortlists import SETS, PhotoSet, read_sets
from sklearn.linear_model import LogisticRegression

from reseen.search.geometry import Verification, verify
from reseen.search.geometry.probability import FEATURES, describe

PRIOR = 1 / 50
LEARNED = ("smvs-dvd", "smvs-landmarks", "paris-sub")


def pairs_of(photos: PhotoSet, seed: int, per_query: int = 10) -> tuple[list[Verification], np.ndarray]:
    """Verifications of matching and of shuffled pairs, and which are which."""
    rng = np.random.default_rng(seed)
    found: list[Verification] = []
    truth: list[bool] = []
    for query, features in enumerate(photos.query_features):
        same = photos.positives[query]
        others = [row for row in range(len(photos.paths)) if row not in same | photos.junk[query]]
        rows = [*rng.permutation(sorted(same))[:per_query], *rng.permutation(others)[:per_query]]
        found += verify(features, [photos.features[row] for row in rows], box=photos.boxes[query])
        truth += [row in same for row in rows]
    return found, np.array(truth)


def weigh(truth: np.ndarray) -> np.ndarray:
    """Weights under which the share of matches is :data:`PRIOR`."""
    return np.where(truth, PRIOR / truth.sum(), (1 - PRIOR) / (~truth).sum()) * len(truth)


def learn(sets: list[tuple[list[Verification], np.ndarray]]) -> tuple[np.ndarray, float]:
    """Weights of :data:`FEATURES` for pairs with a model, and the log odds of pairs without; sets weigh the same."""
    values = [np.array([describe(v) for v in found]) for found, _ in sets]
    truth = np.concatenate([t for _, t in sets])
    weights = np.concatenate([weigh(t) / len(t) for _, t in sets])
    has = np.concatenate([[v.kind != "none" for v in found] for found, _ in sets])
    model = LogisticRegression(C=1e4, max_iter=10_000, fit_intercept=False)
    scale = len(truth) / weights.sum()
    model.fit(np.concatenate(values)[has], truth[has], sample_weight=weights[has] * scale)
    none = np.log(weights[~has & truth].sum() / weights[~has & ~truth].sum())
    return model.coef_[0], float(none)


def predict(found: list[Verification], weights: np.ndarray, none: float) -> np.ndarray:
    odds = np.array([none if v.kind == "none" else float(np.dot(weights, describe(v))) for v in found])
    return 1 / (1 + np.exp(-odds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="write calibration.json into the package")
    parser.add_argument(
        "--sets", nargs="+", default=LEARNED, choices=SETS, help="sets to score on beside those it learns from"
    )
    args = parser.parse_args()
    names = [name for name in SETS if name in {*LEARNED, *args.sets}]
    sets = {photos.name: pairs_of(photos, seed=0) for photos in read_sets(names, args.photos, args.cache)}
    for name, (found, truth) in sets.items():
        seen = learn([sets[other] for other in LEARNED if other != name])
        guess = predict(found, *seen)
        weight = weigh(truth)
        loss = -np.average(np.log(np.where(truth, guess, 1 - guess).clip(1e-9)), weights=weight)
        base = -(PRIOR * np.log(PRIOR) + (1 - PRIOR) * np.log(1 - PRIOR))
        print(f"{name}, learned without it: {truth.sum()} true and {(~truth).sum()} false pairs, ", end="")
        print(f"log loss {loss:.4f} (without geometry {base:.4f})")
        print(f"  false pairs above 0.5: {(guess[~truth] > 0.5).mean():.4%}, true: {(guess[truth] > 0.5).mean():.1%}")
        edges = np.array([0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 1.0001])
        for low, high in pairwise(edges):
            rows = (guess >= low) & (guess < high)
            if rows.any():
                share, mean = (
                    np.average(truth[rows], weights=weight[rows]),
                    np.average(guess[rows], weights=weight[rows]),
                )
                print(f"  {low:.2f}-{min(high, 1):.2f}: mean {mean:.3f}, observed {share:.3f}, {rows.sum()} pairs")
    weights, none = learn([sets[name] for name in LEARNED])
    values = {
        "command": "python benchmarks/calibrate_geometry.py --write",
        "learned_on": list(LEARNED),
        "prior": PRIOR,
        "none": round(none, 4),
        "weights": {name: round(float(w), 4) for name, w in zip(FEATURES, weights, strict=True)},
    }
    print(json.dumps(values, indent=2))
    if args.write:
        import reseen.search.geometry as package

        path = Path(package.__file__).with_name("calibration.json")
        path.write_text(json.dumps(values, indent=2) + "\n")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
