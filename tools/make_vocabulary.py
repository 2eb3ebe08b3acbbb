"""Make the vocabulary of visual words that ships with the package.

    python -m tools.make_vocabulary --photos DATA [--size 8192]

Learned on ``distractors`` and ``views-train``: none of the photos that anything is scored on.
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from reseen.images import load_photo, ordered_map, walk
from reseen.local_features import LocalFeatures
from reseen.search.local import RootSift
from reseen.search.vocabulary import Vocabulary

LEARNED_FROM = ("distractors", "views-train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--size", type=int, default=8192, help="words")
    given = parser.parse_args()
    extractor = RootSift()

    def features(path: bytes) -> LocalFeatures:
        photo = load_photo(Path(path.decode()), at_least=extractor.side)
        return extractor.extract(photo.pixels, photo.size)

    found = [item.path for item in walk([given.photos / name for name in LEARNED_FROM]) if not item.ignored]
    to = Path(str(files("reseen.search").joinpath("vocabulary.safetensors")))
    Vocabulary.learn(ordered_map(features, found, workers=2), given.size).save(to)
    print(f"{given.size} words of {len(found)} photos, {to.stat().st_size / 1e6:.1f} MB: {to}")


if __name__ == "__main__":
    main()
