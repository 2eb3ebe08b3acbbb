"""PCA whitening, Lw and LDA learned on 200,000 x 512 vectors: seconds and peak memory.

    python benchmarks/projections.py [--vectors 200000] [--dim 512] [--pairs 100000]

The vectors lie in a file, once as large and once at a quarter of it: memory that is flat does not grow between them.
Each runs in a fresh process. Memory is what learning needs beyond the file's own pages, which the system may drop.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from peak import alone, measured

from reseen.projections import create_projection
from reseen.types import Pairs

KINDS = {"pca": {}, "lw": {}, "lw (paper)": {"form": "paper"}, "lda": {}}
STEP = 10_000


def write(file: Path, count: int, dim: int) -> None:
    """Unit vectors of classes of four that follow one another."""
    random = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(file, "w+", np.float32, (count, dim))
    for start in range(0, count, STEP):
        centres = random.standard_normal((STEP // 4, dim)) * np.linspace(2, 0.2, dim)
        block = np.repeat(centres, 4, 0) + random.standard_normal((STEP, dim))
        rows[start : start + STEP] = (block / np.linalg.norm(block, axis=1, keepdims=True))[: count - start]


def matching(count: int, wanted: int) -> Pairs:
    """The first ``wanted`` neighbours of one class."""
    first = np.arange(count - 1, dtype=np.int64)
    first = first[first % 4 < 3]
    return np.stack([first, first + 1], 1)[:wanted]


def learn(kind: str, file: Path, pairs: int, stream: bool) -> tuple[float, int]:
    """Seconds and bytes."""
    rows = np.load(file, mmap_mode="r")
    listed = matching(len(rows), pairs)
    np.linalg.eigh(np.eye(64))  # the library's own threads and buffers are not learning
    projection = create_projection(kind.partition(" ")[0], **KINDS[kind])
    source = (rows[start : start + STEP] for start in range(0, len(rows), STEP)) if stream else rows
    _, seconds, memory = measured(lambda: projection.fit(source, listed))
    return seconds, memory


def main() -> None:
    """Write the vectors, learn, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "vectors.npy"
        for count in (arguments.vectors // 4, arguments.vectors):
            write(file, count, arguments.dim)
            pairs = arguments.pairs * count // arguments.vectors
            print(f"\n{count} x {arguments.dim} float32, {file.stat().st_size / 1e6:.0f} MB; {pairs} pairs\n")
            print("| projection | from | seconds | peak MB |")
            print("|---|---|---|---|")
            for kind in KINDS:
                for stream in (False, True):
                    seconds, memory = alone(learn, kind, file, pairs, stream)
                    print(f"| {kind} | {'a stream' if stream else 'a file'} | {seconds:.1f} | {memory / 1e6:.0f} |")


if __name__ == "__main__":
    main()
