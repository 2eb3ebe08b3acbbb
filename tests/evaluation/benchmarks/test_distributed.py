"""Each loader on a small set made in the exact layout of the published one."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import scipy.io

from reseen.errors import BenchmarkError, PhotoSetError, UntrustedFile
from reseen.evaluation import load_benchmarks
from reseen.evaluation.benchmarks.benchmark import check_count


def names(benchmark, rows):
    return [benchmark.database[row].stem for row in rows]


# -- Oxford5k and Paris6k ---------------------------------------------------------------------------------


@pytest.fixture
def oxford(tmp_path, shoot):
    """oxbuild_images.tgz unpacked beside gt_files_170407.tgz."""
    for number in (13, 26, 40, 51):
        shoot(tmp_path / "oxbuild_images" / f"all_souls_{number:06d}.jpg")
    gt = tmp_path / "gt_files_170407"
    gt.mkdir()
    (gt / "all_souls_1_query.txt").write_text("oxc1_all_souls_000013 2.5 1.1 20.5 14.7\n")
    (gt / "all_souls_1_good.txt").write_text("all_souls_000013\n")
    (gt / "all_souls_1_ok.txt").write_text("all_souls_000051\n")
    (gt / "all_souls_1_junk.txt").write_text("all_souls_000026\n")
    return tmp_path


def test_oxford_from_the_authors_text_files(oxford):
    (found,) = load_benchmarks(f"oxford5k:{oxford}", partial=True)
    (query,) = found.queries
    assert [p.stem for p in found.database] == [f"all_souls_{n:06d}" for n in (13, 26, 40, 51)]
    assert query.photo.stem == "all_souls_000013" and query.box == (2.5, 1.1, 20.5, 14.7)
    assert names(found, query.positives) == ["all_souls_000013", "all_souls_000051"]  # good and ok, the query too
    assert names(found, query.junk) == ["all_souls_000026"]
    assert found.notes == ("partial set: 4 photos where oxford5k has 5063",)
    assert found.precision_rule == "plain" and found.measure == "map"


def test_an_incomplete_download_is_said(oxford):
    with pytest.raises(BenchmarkError, match="4 photos where oxford5k has 5063: the download is incomplete"):
        load_benchmarks(f"oxford5k:{oxford}")
    (oxford / "gt_files_170407" / "all_souls_1_junk.txt").unlink()
    with pytest.raises(BenchmarkError, match="all_souls_1_junk.txt: missing"):
        load_benchmarks(f"oxford5k:{oxford}", partial=True)


def test_a_whole_set_has_one_of_its_published_counts():
    assert check_count("oxford5k", 5062, 5063, 5062) == check_count("oxford5k", 5063, 5063, 5062) == ()
    with pytest.raises(BenchmarkError, match="5061 photos where oxford5k has 5063"):
        check_count("oxford5k", 5061, 5063, 5062)


def test_paris_from_the_authors_text_files_without_the_damaged_photos(tmp_path, shoot):
    """paris_1.tgz and paris_2.tgz unpack to a folder per landmark; paris_120310.tgz holds the truth."""
    for landmark, number in (("defense", 605), ("defense", 15), ("louvre", 136), ("louvre", 99)):
        shoot(tmp_path / "paris" / landmark / f"paris_{landmark}_{number:06d}.jpg")
    gt = tmp_path / "paris_120310"
    gt.mkdir()
    (gt / "defense_1_query.txt").write_text("paris_defense_000605 2 1 20 14\n")
    (gt / "defense_1_good.txt").write_text("paris_defense_000605\nparis_louvre_000136\n")
    (gt / "defense_1_ok.txt").write_text("paris_defense_000015\n")
    (gt / "defense_1_junk.txt").write_text("")
    (found,) = load_benchmarks(f"paris6k:{tmp_path}", partial=True)
    assert [p.stem for p in found.database] == ["paris_defense_000015", "paris_defense_000605", "paris_louvre_000099"]
    assert names(found, found.queries[0].positives) == ["paris_defense_000015", "paris_defense_000605"]


def as_list(stems):
    return {
        "imlist": stems,
        "qimlist": [stems[0]],
        "gnd": [{"bbx": [2.5, 1.1, 20.5, 14.7], "ok": np.array([0, 3]), "junk": np.array([1])}],
    }


def test_oxford_from_the_pickled_list(oxford, tmp_path):
    stems = [f"all_souls_{n:06d}" for n in (13, 26, 40, 51)]
    (expected,) = load_benchmarks(f"oxford5k:{oxford}", partial=True)
    (oxford / "gnd_oxford5k.pkl").write_bytes(pickle.dumps(as_list(stems), protocol=2))
    (found,) = load_benchmarks(f"oxford5k:{oxford}", partial=True)
    assert found.database == expected.database and found.truth != expected.truth
    for ours, theirs in zip(found.queries, expected.queries, strict=True):
        assert (ours.photo, ours.box) == (theirs.photo, theirs.box)
        assert np.array_equal(ours.positives, theirs.positives) and np.array_equal(ours.junk, theirs.junk)


def test_oxford_from_the_matlab_list_whose_rows_and_pixels_count_from_one(oxford):
    stems = np.array([f"all_souls_{n:06d}" for n in (13, 26, 40, 51)], dtype=object)
    truth = np.zeros(1, dtype=[("bbx", object), ("ok", object), ("junk", object)])
    truth[0] = (np.array([3.5, 2.1, 21.5, 15.7]), np.array([1, 4]), np.array([2]))
    scipy.io.savemat(oxford / "gnd_oxford5k.mat", {"imlist": stems, "qidx": np.array([1]), "gnd": truth})
    (found,) = load_benchmarks(f"oxford5k:{oxford}", partial=True)
    (query,) = found.queries
    assert query.photo.stem == "all_souls_000013"
    assert query.box == pytest.approx((2.5, 1.1, 20.5, 14.7))
    assert query.positives.tolist() == [0, 3] and query.junk.tolist() == [1]


# -- revisited --------------------------------------------------------------------------------------------


@pytest.fixture
def revisited(tmp_path, shoot):
    """roxford5k/gnd_roxford5k.pkl beside jpg/: queries are not in the database."""
    stems = [f"worcester_{n:06d}" for n in range(5)]
    for stem in [*stems, "all_souls_000013"]:
        shoot(tmp_path / "jpg" / f"{stem}.jpg")
    truth = {"easy": np.array([0]), "hard": np.array([1, 4]), "junk": np.array([2]), "bbx": [1, 2, 20, 14]}
    listed = {"imlist": stems, "qimlist": ["all_souls_000013"], "gnd": [truth]}
    (tmp_path / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(listed))
    return tmp_path


def test_easy_medium_and_hard(revisited):
    found = load_benchmarks(f"roxford5k:{revisited}", partial=True)
    truth = {b.name: (b.queries[0].positives.tolist(), b.queries[0].junk.tolist()) for b in found}
    assert truth == {
        "roxford5k-easy": ([0], [1, 2, 4]),
        "roxford5k-medium": ([0, 1, 4], [2]),
        "roxford5k-hard": ([1, 4], [0, 2]),
    }
    assert {b.precision_rule for b in found} == {"revisited"}
    assert found[0].queries[0].box == (1, 2, 20, 14)
    (hard,) = load_benchmarks(f"roxford5k-hard:{revisited}", partial=True)
    assert hard.name == "roxford5k-hard"


def test_the_matlab_list_gives_the_same_settings(revisited):
    expected = load_benchmarks(f"roxford5k:{revisited}", partial=True)
    truth = np.zeros(1, dtype=[("bbx", object), ("easy", object), ("hard", object), ("junk", object)])
    truth[0] = (np.array([2, 3, 21, 15.0]), np.array([1]), np.array([2, 5]), np.array([3]))  # all count from 1
    stems = np.array([f"worcester_{n:06d}" for n in range(5)], dtype=object)
    listed = {"imlist": stems, "qimlist": np.array(["all_souls_000013"], dtype=object), "gnd": truth}
    scipy.io.savemat(revisited / "gnd_roxford5k.mat", listed)
    (revisited / "gnd_roxford5k.pkl").unlink()
    for ours, theirs in zip(load_benchmarks(f"roxford5k:{revisited}", partial=True), expected, strict=True):
        assert (ours.name, ours.database) == (theirs.name, theirs.database)
        assert (ours.queries[0].photo, ours.queries[0].box) == (theirs.queries[0].photo, theirs.queries[0].box)
        assert np.array_equal(ours.queries[0].positives, theirs.queries[0].positives)
        assert np.array_equal(ours.queries[0].junk, theirs.queries[0].junk)


def test_a_pickle_that_runs_code_is_refused_and_runs_nothing(revisited):
    class Harm:
        def __reduce__(self):
            return (open, (str(revisited / "ran"), "w"))

    (revisited / "gnd_roxford5k.pkl").write_bytes(pickle.dumps({"imlist": ["a"], "gnd": Harm()}))
    with pytest.raises(UntrustedFile, match="not plain data"):
        load_benchmarks(f"roxford5k:{revisited}", partial=True)
    assert not (revisited / "ran").exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"imlist": ["a"]}, "not a list of ground truth"),
        ({"imlist": ["a"], "qimlist": ["b"], "gnd": []}, "1 queries but ground truth for 0"),
        ([1, 2], "not a list of ground truth"),
    ],
)
def test_a_pickle_that_is_no_list_is_said(revisited, value, message):
    (revisited / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(value))
    with pytest.raises(BenchmarkError, match=message):
        load_benchmarks(f"roxford5k:{revisited}", partial=True)


def test_rows_beyond_the_list_and_missing_photos_are_said(revisited):
    (revisited / "jpg" / "worcester_000003.jpg").unlink()
    with pytest.raises(BenchmarkError, match=r"1 of 6 photos are missing.*worcester_000003"):
        load_benchmarks(f"roxford5k:{revisited}", partial=True)
    listed = {"imlist": ["worcester_000000"], "qimlist": ["all_souls_000013"], "gnd": [{"easy": [7], "bbx": None}]}
    (revisited / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(listed))
    with pytest.raises(BenchmarkError, match="outside the database of 1"):
        load_benchmarks(f"roxford5k:{revisited}", partial=True)


# -- Holidays, UKB, Google Landmarks ------------------------------------------------------------------------


def test_holidays_takes_the_first_of_each_group_as_the_query_and_as_junk(tmp_path, shoot):
    for stem in ("100000", "100001", "100002", "100100", "100101"):
        shoot(tmp_path / "jpg" / f"{stem}.jpg")
    (found,) = load_benchmarks(f"holidays:{tmp_path}", partial=True)
    assert [q.photo.stem for q in found.queries] == ["100000", "100100"]
    assert [names(found, q.positives) for q in found.queries] == [["100001", "100002"], ["100101"]]
    assert [names(found, q.junk) for q in found.queries] == [["100000"], ["100100"]]
    with pytest.raises(BenchmarkError, match="5 photos where holidays has 1491"):
        load_benchmarks(f"holidays:{tmp_path}")


def test_holidays_upright_reads_the_turned_copies(tmp_path, shoot):
    for folder in ("jpg", "jpg_upright"):
        for stem in ("100000", "100001"):
            shoot(tmp_path / folder / f"{stem}.jpg")
    (found,) = load_benchmarks(f"holidays-upright:{tmp_path}", partial=True)
    assert {path.parent.name for path in found.photos} == {"jpg_upright"}
    (plain,) = load_benchmarks(f"holidays:{tmp_path}", partial=True)
    assert {path.parent.name for path in plain.photos} == {"jpg"}


def test_ukb_is_groups_of_four_all_of_them_queries(tmp_path, shoot):
    for i in range(8):
        shoot(tmp_path / "full" / f"ukbench{i:05d}.jpg")
    (found,) = load_benchmarks(f"ukb:{tmp_path}", partial=True)
    assert len(found.queries) == len(found.database) == 8
    assert found.queries[5].positives.tolist() == [4, 5, 6, 7] and len(found.queries[5].junk) == 0
    assert found.measure == "ukb"


def test_google_landmarks_retrieval_in_two_halves(tmp_path, shoot):
    for part, stems in (("index", ("aaa1", "aab2", "bbc3")), ("test", ("ccc4", "ccd5", "dde6", "eef7"))):
        for stem in stems:
            shoot(tmp_path / part / stem[0] / stem[1] / stem[2] / f"{stem}.jpg")
    solution = "id,images,Usage\nccc4,aaa1 bbc3,Public\nccd5,None,Public\ndde6,aab2,Private\neef7,aaa1,Ignored\n"
    (tmp_path / "retrieval_solution_v2.1.csv").write_text(solution)
    private, public = load_benchmarks(f"gldv2:{tmp_path}", partial=True)
    assert (private.name, public.name) == ("gldv2-private", "gldv2-public")
    assert names(public, public.queries[0].positives) == ["aaa1", "bbc3"]
    assert [p.stem for p in public.unmatched] == ["ccd5"]
    assert names(private, private.queries[0].positives) == ["aab2"]
    assert public.measure == "map@100"
    with pytest.raises(BenchmarkError, match="3 index photos where gldv2 has 761757"):
        load_benchmarks(f"gldv2:{tmp_path}")
    (tmp_path / "retrieval_solution_v2.1.csv").write_text("id,images,Usage\nccc4,zzz9,Public\n")
    with pytest.raises(BenchmarkError, match="'zzz9', which is not in the database"):
        load_benchmarks(f"gldv2:{tmp_path}", partial=True)


# -- CDVS, CLICIDE, GaRoFou -----------------------------------------------------------------------------------


def test_cdvs_pair_lists_give_retrieval_and_verification(tmp_path, shoot):
    for name in ("q/1.jpg", "q/2.jpg", "r/1.jpg", "r/2.jpg", "r/3.jpg"):
        shoot(tmp_path / name)
    lists = tmp_path / "annotations"
    lists.mkdir()
    (lists / "1a_matching_pairs.txt").write_text("q/1.jpg r/1.jpg\nq/2.jpg r/2.jpg\n")
    (lists / "1a_non_matching_pairs.txt").write_text("q/1.jpg r/3.jpg\n\n")
    (found,) = load_benchmarks(f"cdvs:{tmp_path}")
    assert [p.stem for p in found.database] == ["1", "2", "3"]
    assert [q.positives.tolist() for q in found.queries] == [[0], [1]]
    assert found.pairs.tolist() == [[0, 0, 1], [1, 1, 1], [0, 2, 0]]
    (lists / "1a_matching_pairs.txt").write_text("q/1.jpg\n")
    with pytest.raises(BenchmarkError, match="line 1: a pair needs two paths"):
        load_benchmarks(f"cdvs:{tmp_path}")
    (lists / "1a_matching_pairs.txt").write_text("q/1.jpg r/9.jpg\n")
    with pytest.raises(BenchmarkError, match="missing or empty"):
        load_benchmarks(f"cdvs:{tmp_path}")


def test_cdvs_lists_that_name_a_pair_as_both_are_refused(tmp_path, shoot):
    for name in ("q/1.jpg", "r/1.jpg"):
        shoot(tmp_path / name)
    for list_name in ("matching_pairs.txt", "non-matching_pairs.txt"):
        (tmp_path / list_name).write_text("q/1.jpg r/1.jpg\n")
    with pytest.raises(BenchmarkError, match="both matching and non-matching"):
        load_benchmarks(f"cdvs:{tmp_path}")


def test_clicide_labels_stand_before_the_dash(tmp_path, shoot):
    for name in ("10A-1.jpg", "10A-2.jpg", "3B-1.jpg", "test/10A-q.jpg", "test/99Z-q.jpg", "test/nolabel.jpg"):
        shoot(tmp_path / name)
    for name in ("wall-1.jpg", "Wall2-1.jpg", "test/wall-q.jpg"):
        shoot(tmp_path / name)
    (found,) = load_benchmarks(f"clicide:{tmp_path}")
    assert [p.stem for p in found.database] == ["10A-1", "10A-2", "3B-1"]
    assert [names(found, q.positives) for q in found.queries] == [["10A-1", "10A-2"]]
    assert [p.stem for p in found.unmatched] == ["99Z-q"]
    assert "1 photos have no label" in found.notes[0] and found.notes[1] == "3 photos of walls are left out"


def test_garofou_labels_join_two_parts_of_the_name(tmp_path, shoot):
    for name in ("GaRoFou/a_1_x.jpg", "GaRoFou/a_2_x.jpg", "test/a_2_q.jpg"):
        shoot(tmp_path / name)
    (found,) = load_benchmarks(f"garofou:{tmp_path}")
    assert names(found, found.queries[0].positives) == ["a_2_x"]


def test_folders_take_the_folder_or_a_pattern_of_the_name_as_label(tmp_path, shoot):
    for name in ("refs/mona/1.jpg", "refs/lisa/1.jpg", "queries/mona/7.jpg"):
        shoot(tmp_path / name)
    (found,) = load_benchmarks(f"folders:{tmp_path}")
    assert [found.database[i].parent.name for i in found.queries[0].positives] == ["mona"]
    shoot(tmp_path / "queries" / "lisa" / "1.jpg")
    (numbered,) = load_benchmarks(f"folders:{tmp_path}", pattern=r"^(\d)\.")
    assert [p.stem for p in numbered.unmatched] == ["7"]
    assert [query.positives.tolist() for query in numbered.queries] == [[0, 1]]
    assert found.labels == ("lisa", "mona") and numbered.labels == ("1", "1")
    shoot(tmp_path / "more" / "1.jpg")
    assert len(set(found.with_distractors([tmp_path / "more"]).labels)) == 3
    with pytest.raises(BenchmarkError, match=r"pattern '\(' is not a regular expression"):
        load_benchmarks(f"folders:{tmp_path}", pattern="(")


# -- checksums, distractors, names --------------------------------------------------------------------------


def test_checksums_say_when_a_download_is_damaged(tmp_path, shoot):
    photo = shoot(tmp_path / "full" / "ukbench00000.jpg")
    for i in range(1, 4):
        shoot(tmp_path / "full" / f"ukbench{i:05d}.jpg")
    good = hashlib.sha256(photo.read_bytes()).hexdigest()
    (tmp_path / "SHA256SUMS").write_text(f"{good}  full/ukbench00000.jpg\n")
    load_benchmarks(f"ukb:{tmp_path}", partial=True)
    (tmp_path / "SHA256SUMS").write_text(f"{'0' * 64}  full/ukbench00000.jpg\n")
    with pytest.raises(BenchmarkError, match="damaged or incomplete"):
        load_benchmarks(f"ukb:{tmp_path}", partial=True)
    (tmp_path / "SHA256SUMS").unlink()
    (tmp_path / "MD5SUMS").write_text(f"{'0' * 32} *full/ukbench00009.jpg\n")
    with pytest.raises(BenchmarkError, match="MD5SUMS lists it"):
        load_benchmarks(f"ukb:{tmp_path}", partial=True)


def test_distractors_stand_behind_any_database(oxford, tmp_path_factory, shoot):
    more = tmp_path_factory.mktemp("oxford100k")
    for i in range(3):
        shoot(more / "flickr" / f"{i}.jpg")
    (plain,) = load_benchmarks(f"oxford5k:{oxford}", partial=True)
    (found,) = load_benchmarks(f"oxford5k:{oxford}", partial=True, distractors=[more])
    assert found.name == "oxford5k+3" and found.distractors == 3
    assert found.database[:4] == plain.database
    assert [q.positives.tolist() for q in found.queries] == [q.positives.tolist() for q in plain.queries]
    with pytest.raises(BenchmarkError, match="no photos to add"):
        plain.with_distractors([oxford / "oxbuild_images"])
    with pytest.raises(PhotoSetError, match="no such folder"):
        plain.with_distractors([oxford / "nowhere"])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("oxford9:.", "'oxford9' is not known"),
        ("ukb:nowhere", "no such folder"),
        ("nowhere.json", "no such manifest; known sets are oxford5k"),
        ("oxford5k:{}", r"neither gnd_\*.pkl"),
        ("roxford5k:{}", "gnd_roxford5k.pkl is missing"),
        ("gldv2:{}", r"retrieval_solution\*.csv is missing"),
        ("cdvs:{}", r"no matching_pairs"),
        ("clicide:{}", "expected in one of test, query"),
        ("holidays-upright:{}", "expected in jpg_upright or"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, spec, message):
    with pytest.raises(BenchmarkError, match=message):
        load_benchmarks(spec.format(tmp_path))
