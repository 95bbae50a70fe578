import numpy as np
import pandas as pd
import pybigtools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grids import tracks
from grids.errors import InputError

GENES = pd.DataFrame(
    {
        "gene": ["HLA DRB1", "MOG", "NOTSS"],
        "chromosome": ["chr6", "chr6", "chr1"],
        "strand": ["-", "+", "+"],
        "tss": [999.0, 50.0, np.nan],
    }
)


def sets(**columns):
    table = pd.DataFrame(
        {
            "surrogate": "cross_modality",
            "method": "grids",
            "cell_type": ["Oligo", "Oligo", "Oligo", "Astro"],
            "gene": ["HLA DRB1", "HLA DRB1", "MOG", "MOG"],
            "direction": "silence",
            "set_size": [2, 2, 1, 1],
            "rank": [1, 2, 1, 1],
            "chromosome": ["chr6", "chr10", "chr6", "chr6"],
            "start": [400, 100, 10, 10],
            "end": [500, 200, 20, 20],
            "peak": ["chr6:400-500", "chr10:100-200", "chr6:10-20", "chr6:10-20"],
            "log_effect_in_context": [-0.8, 0.2, -0.1, -0.1],
        }
    )
    return table.assign(**columns)


def test_bed_holds_the_types_members_sorted_with_scores_relative_to_their_set(tmp_path):
    tracks.write_bed(sets(), "Oligo", tmp_path / "a.bed")
    assert (tmp_path / "a.bed").read_text() == (
        "chr10\t100\t200\tHLA_DRB1|silence|2\t250\t.\n"
        "chr6\t10\t20\tMOG|silence|1\t1000\t.\n"
        "chr6\t400\t500\tHLA_DRB1|silence|1\t1000\t.\n"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["a.bed"]  # no temporary file stays


def test_names_tell_methods_apart_where_there_are_several(tmp_path):
    tracks.write_bed(sets(method=["grids", "grids", "saliency", "grids"]), "Oligo", tmp_path / "a.bed")
    assert "MOG|silence|1|cross_modality|saliency" in (tmp_path / "a.bed").read_text()


def test_members_without_effect_score_zero(tmp_path):
    tracks.write_bed(sets(log_effect_in_context=[0.0, 0.0, np.nan, 0.0]), "Oligo", tmp_path / "a.bed")
    assert [line.split("\t")[4] for line in (tmp_path / "a.bed").read_text().splitlines()] == ["0", "0", "0"]


def test_bedpe_joins_members_to_the_tss(tmp_path):
    tracks.write_bedpe(sets(), GENES, "Oligo", tmp_path / "a.bedpe")
    assert (tmp_path / "a.bedpe").read_text() == (
        "chr10\t100\t200\tchr6\t999\t1000\tHLA_DRB1|silence|2\t250\t.\t-\n"
        "chr6\t10\t20\tchr6\t50\t51\tMOG|silence|1\t1000\t.\t+\n"
        "chr6\t400\t500\tchr6\t999\t1000\tHLA_DRB1|silence|1\t1000\t.\t-\n"
    )


def test_bedpe_leaves_out_genes_without_tss_and_refuses_unknown_ones(tmp_path):
    tracks.write_bedpe(sets(gene=["NOTSS", "NOTSS", "MOG", "MOG"]), GENES, "Oligo", tmp_path / "a.bedpe")
    assert (tmp_path / "a.bedpe").read_text() == "chr6\t10\t20\tchr6\t50\t51\tMOG|silence|1\t1000\t.\t+\n"
    with pytest.raises(InputError, match=r"no annotation.*GAD67"):
        tracks.write_bedpe(sets(gene="GAD67"), GENES, "Oligo", tmp_path / "b.bedpe")
    assert not (tmp_path / "b.bedpe").exists()


def test_a_type_without_sets_gives_empty_files(tmp_path):
    tracks.write_bed(sets(), "Micro", tmp_path / "a.bed")
    tracks.write_bedpe(sets(), GENES, "Micro", tmp_path / "a.bedpe")
    assert (tmp_path / "a.bed").read_text() == (tmp_path / "a.bedpe").read_text() == ""


def test_bigwig_reads_back_with_overlaps_averaged_and_ends_clipped(tmp_path):
    accessibility = pd.DataFrame(
        {
            "peak": ["a", "b", "c", "d"],
            "chromosome": ["chr2", "chr2", "chr10", "chr2"],
            "start": [10, 15, 0, 95],
            "end": [20, 30, 5, 120],
            "Oligo/OPC": [0.2, 0.6, 0.5, 0.25],
        }
    )
    tracks.write_bigwig(accessibility, "Oligo/OPC", {"chr2": 100, "chr10": 50}, tmp_path / "a.bw")
    with pybigtools.open(str(tmp_path / "a.bw")) as file:
        assert dict(file.chroms()) == {"chr2": 100, "chr10": 50}
        got = [(s, e, round(v, 5)) for s, e, v in file.records("chr2", 0, 100)]
        assert got == [(10, 15, 0.2), (15, 20, 0.4), (20, 30, 0.6), (95, 100, 0.25)]
        assert list(file.records("chr10", 0, 50)) == [(0, 5, 0.5)]
    assert [p.name for p in tmp_path.iterdir()] == ["a.bw"]


def test_bigwig_refuses_what_it_cannot_place(tmp_path):
    table = pd.DataFrame({"peak": ["a"], "chromosome": ["chrUn"], "start": [0], "end": [5], "Oligo": [0.5]})
    with pytest.raises(InputError, match="no chromosome size for chrUn"):
        tracks.write_bigwig(table, "Oligo", {"chr1": 10}, tmp_path / "a.bw")
    with pytest.raises(InputError, match="no column for cell type 'Astro'"):
        tracks.write_bigwig(table, "Astro", {"chrUn": 10}, tmp_path / "a.bw")
    with pytest.raises(InputError, match="no peak of cell type 'Oligo'"):
        tracks.write_bigwig(table.iloc[:0], "Oligo", {"chrUn": 10}, tmp_path / "a.bw")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 20), st.floats(0, 1)), min_size=1, max_size=12))
def test_averaged_intervals_equal_the_mean_at_every_base(peaks):
    start = np.array([p[0] for p in peaks])
    end = start + np.array([p[1] for p in peaks])
    value = np.array([p[2] for p in peaks])
    size = 45
    got = np.full(size, np.nan)
    previous = 0
    for s, e, v in tracks.average_overlaps(start, end, value, size):
        assert previous <= s < e <= size
        got[s:e], previous = v, e
    over = (start <= np.arange(size)[:, None]) & (np.arange(size)[:, None] < end)
    expected = np.array([value[row].mean() if row.any() else np.nan for row in over])
    np.testing.assert_allclose(got, expected, atol=1e-9)
