"""What reseen exports, and what may be imported without a network library."""

import subprocess
import sys

import pytest

import reseen

LIGHT = [
    "reseen.cli.main",
    "reseen.collections.gallery",
    "reseen.descriptor.recipes",
    "reseen.evaluation.benchmarks",
    "reseen.evaluation.expansion",
    "reseen.evaluation.measures.metrics",
    "reseen.evaluation.measures.open_set",
    "reseen.evaluation.measures.ranking",
    "reseen.evaluation.measures.statistics",
    "reseen.evaluation.protocol",
    "reseen.evaluation.reports.compare",
    "reseen.evaluation.reports.report",
    "reseen.identify",
    "reseen.projections",
    "reseen.scenes.studio",
    "reseen.search.expansion",
    "reseen.search.index.exact",
    "reseen.search.page",
    "reseen.search.rerank",
]


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_names_that_reseen_exports():
    names = {"Collection", "Descriptor", "Query", "ReseenError", "__version__", "load"}
    assert set(reseen.__all__) == names <= set(dir(reseen))
    assert all(getattr(reseen, name) is not None for name in names)
    with pytest.raises(AttributeError, match="no attribute 'Colection'"):
        _ = reseen.Colection


@pytest.mark.parametrize("package", ["reseen", "reseen.evaluation", "reseen.descriptor"])
def test_what_a_package_exports_is_there_before_it_is_used(package):
    run(f"import {package} as p; assert set(p.__all__) <= set(dir(p)); from {package} import *")


def test_networks_are_imported_where_they_are_needed_only():
    imports = "\n".join(f"import {name}; assert 'torch' not in sys.modules, {name!r}" for name in LIGHT)
    run(f"import sys\n{imports}")


def test_search_collections_and_metrics_need_no_torch(tmp_path, make, paint):
    from reseen.collections import Collection

    paint(tmp_path / "photos" / "cup", 5, size=(240, 160))
    collection = Collection.create(tmp_path / "c", make(), local="sift")
    collection.add(tmp_path / "photos", label_from_folder=True)
    run(
        "import sys\n"
        "sys.modules['torch'] = None  # an import of it fails\n"
        "import numpy as np, reseen\n"
        "from reseen.collections.gallery import Gallery\n"
        "from reseen.evaluation.measures.metrics import average_precision\n"
        "from reseen.evaluation.measures.ranking import Truth, rank\n"
        f"c = reseen.Collection.open({str(collection.folder)!r})\n"
        "ids, vectors = c.vectors()\n"
        "for asked in (vectors[3], int(ids[3])):\n"
        "    assert c.search(asked, k=2, where=set(ids.tolist()))[0].id == ids[3]\n"
        "assert c.search(int(ids[3]), rerank='geometry+superglobal')[0].match.inliers > 5\n"
        "assert c.verify() == [] and len(Gallery.of(c)) == 1\n"
        "found = rank(vectors, vectors, Truth([np.array([i]) for i in range(5)], [np.zeros(0, int)] * 5))\n"
        "assert average_precision(found.positions).tolist() == [1] * 5\n"
    )
