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

EFFECTS = pd.DataFrame(
    {
        "surrogate": "cross_modality",
        "method": "grids",
        "cell_type": "Oligo",
        "gene": ["HLA DRB1", "HLA DRB1", "MOG"],
        "direction": "silence",
        "set_size": [1, 2, 1],
        "q_value": [0.9, 0.0125, np.nan],
    }
)
BED_HEADER = (
    'track name="Oligo members" description="Members of the sets of Oligo: gene|direction|rank, score by effect '
    'in context" itemRgb=On\n'
    "#chrom\tchromStart\tchromEnd\tname\tscore\tstrand\tthickStart\tthickEnd\titemRgb\n"
)
BEDPE_HEADER = (
    "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\tstrand1\tstrand2\tgene\trank\tlog_effect_alone\t"
    "log_effect_in_context\tq_value\tpassed_gate\tcolor\n"
)
# The fields of UCSC's interact.as, in order.
INTERACT_FIELDS = [
    "chrom", "chromStart", "chromEnd", "name", "score", "value", "exp", "color", "sourceChrom", "sourceStart",
    "sourceEnd", "sourceName", "sourceStrand", "targetChrom", "targetStart", "targetEnd", "targetName",
    "targetStrand",
]  # fmt: skip


def body(path):
    """The fields of each row after track line and comment."""
    lines = path.read_text().splitlines()
    return [line.split("\t") for line in lines if not line.startswith(("track", "#"))]


def sets(**columns):
    table = pd.DataFrame(
        {
            "surrogate": "cross_modality",
            "method": "grids",
            "cell_type": ["Oligo", "Oligo", "Oligo", "Astro"],
            "gene": ["HLA DRB1", "HLA DRB1", "MOG", "MOG"],
            "direction": "silence",
            "passed_gate": True,
            "set_size": [2, 2, 1, 1],
            "rank": [1, 2, 1, 1],
            "chromosome": ["chr6", "chr10", "chr6", "chr6"],
            "start": [400, 100, 10, 10],
            "end": [500, 200, 20, 20],
            "peak": ["chr6:400-500", "chr10:100-200", "chr6:10-20", "chr6:10-20"],
            "log_effect_alone": [-0.5, 0.0, -0.1, -0.1],
            "log_effect_in_context": [-0.8, 0.2, -0.1, -0.1],
        }
    )
    return table.assign(**columns)


def test_bed_holds_the_types_members_sorted_with_scores_relative_to_their_set(tmp_path):
    tracks.write_bed(sets(), "Oligo", tmp_path / "a.bed")
    assert (tmp_path / "a.bed").read_text() == BED_HEADER + (
        "chr10\t100\t200\tHLA_DRB1|silence|2\t250\t.\t100\t200\t0,114,178\n"
        "chr6\t10\t20\tMOG|silence|1\t1000\t.\t10\t20\t0,114,178\n"
        "chr6\t400\t500\tHLA_DRB1|silence|1\t1000\t.\t400\t500\t0,114,178\n"
    )
    assert [p.name for p in tmp_path.iterdir()] == ["a.bed"]  # no temporary file stays


def test_names_tell_methods_apart_where_there_are_several(tmp_path):
    tracks.write_bed(sets(method=["grids", "grids", "saliency", "grids"]), "Oligo", tmp_path / "a.bed")
    assert "MOG|silence|1|cross_modality|saliency" in (tmp_path / "a.bed").read_text()


def test_members_without_effect_score_zero(tmp_path):
    tracks.write_bed(sets(log_effect_in_context=[0.0, 0.0, np.nan, 0.0]), "Oligo", tmp_path / "a.bed")
    assert [row[4] for row in body(tmp_path / "a.bed")] == ["0", "0", "0"]


def test_quotes_in_a_cell_type_do_not_end_the_track_line(tmp_path):
    tracks.write_bed(sets(cell_type='5" neurons'), '5" neurons', tmp_path / "a.bed")
    track = (tmp_path / "a.bed").read_text().splitlines()[0]
    assert track.startswith('track name="5\' neurons members" ') and track.count('"') == 4


def test_bedpe_joins_members_to_the_tss(tmp_path):
    tracks.write_bedpe(sets(), GENES, EFFECTS, "Oligo", tmp_path / "a.bedpe")
    assert (tmp_path / "a.bedpe").read_text() == BEDPE_HEADER + (
        "chr10\t100\t200\tchr6\t999\t1000\tHLA_DRB1|silence|2\t250\t.\t-\tHLA DRB1\t2\t0\t0.2\t0.0125\t"
        "True\t0,114,178\n"
        "chr6\t10\t20\tchr6\t50\t51\tMOG|silence|1\t1000\t.\t+\tMOG\t1\t-0.1\t-0.1\t.\tTrue\t153,153,153\n"
        "chr6\t400\t500\tchr6\t999\t1000\tHLA_DRB1|silence|1\t1000\t.\t-\tHLA DRB1\t1\t-0.5\t-0.8\t"
        "0.0125\tTrue\t0,114,178\n"
    )


def test_arcs_leave_out_genes_without_tss_and_refuse_unknown_ones(tmp_path):
    without = sets(gene=["NOTSS", "NOTSS", "MOG", "MOG"])
    for write in (tracks.write_bedpe, tracks.write_interact):
        write(without, GENES, EFFECTS, "Oligo", tmp_path / "a")
        (row,) = body(tmp_path / "a")
        assert "MOG|silence|1" in row
        with pytest.raises(InputError, match=r"b: no annotation.*GAD67"):
            write(sets(gene="GAD67"), GENES, EFFECTS, "Oligo", tmp_path / "b")
        assert not (tmp_path / "b").exists()


def test_interact_has_a_record_on_each_chromosome_of_an_arc(tmp_path):
    tracks.write_interact(sets(), GENES, EFFECTS, "Oligo", tmp_path / "a.interact")
    track, columns, *rows = (tmp_path / "a.interact").read_text().splitlines()
    assert track.startswith('track name="Oligo sets" description=') and "type=interact" in track
    assert columns == "#" + "\t".join(INTERACT_FIELDS)
    rows = [dict(zip(INTERACT_FIELDS, row.split("\t"), strict=True)) for row in rows]
    places = [(row["chrom"], row["chromStart"], row["chromEnd"], row["name"]) for row in rows]
    assert places == [
        ("chr10", "100", "200", "HLA_DRB1|silence|2"),  # the member's end of an arc between chromosomes
        ("chr6", "10", "51", "MOG|silence|1"),
        ("chr6", "400", "1000", "HLA_DRB1|silence|1"),
        ("chr6", "999", "1000", "HLA_DRB1|silence|2"),  # and the gene's
    ]
    assert all(row["sourceChrom"] == "chr10" and row["targetChrom"] == "chr6" for row in (rows[0], rows[3]))
    assert [row["value"] for row in rows] == ["0.2", "-0.1", "-0.8", "0.2"]
    assert [row["score"] for row in rows] == ["250", "1000", "1000", "250"]
    blue, grey = "0,114,178", "153,153,153"
    assert [row["color"] for row in rows] == [blue, grey, blue, blue]
    ends = [(row["sourceStart"], row["sourceEnd"], row["targetStart"], row["targetEnd"]) for row in rows]
    assert ends[1] == ("10", "20", "50", "51") and ends[0] == ends[3] == ("100", "200", "999", "1000")
    assert not any(" " in field for row in rows for field in row.values())


def test_sets_of_forced_tasks_are_grey_and_say_so(tmp_path):
    forced = sets(passed_gate=[False, False, np.nan, True])  # MOG of Oligo was not judged: unpaired cells
    effects = EFFECTS.assign(q_value=0.01)
    tracks.write_bed(forced, "Oligo", tmp_path / "a.bed")
    tracks.write_bedpe(forced, GENES, effects, "Oligo", tmp_path / "a.bedpe")
    tracks.write_interact(forced, GENES, effects, "Oligo", tmp_path / "a.interact")
    colours = {"bed": 8, "bedpe": 16, "interact": 7}
    for suffix, column in colours.items():
        rows = body(tmp_path / f"a.{suffix}")
        names = {row[6 if suffix == "bedpe" else 3]: row[column] for row in rows}
        assert names == {
            "HLA_DRB1|silence|1|forced": "153,153,153",
            "HLA_DRB1|silence|2|forced": "153,153,153",
            "MOG|silence|1": "0,114,178",
        }, suffix
    assert [row[15] for row in body(tmp_path / "a.bedpe")] == ["False", ".", "False"]
    for suffix in ("bed", "interact"):
        assert "did not pass the quality gate" in (tmp_path / f"a.{suffix}").read_text().splitlines()[0]
    tracks.write_bed(forced, "Astro", tmp_path / "b.bed")
    assert "gate" not in (tmp_path / "b.bed").read_text()


@pytest.mark.parametrize("chromosome", ["chr6", "chr10"])
def test_coordinates_stay_whole_numbers_whatever_arcs_there_are(tmp_path, chromosome):
    far = sets(chromosome=chromosome, start=119_730_211, end=119_730_712)
    genes = GENES.assign(tss=[119_755_123] * len(GENES))
    tracks.write_interact(far, genes, EFFECTS, "Oligo", tmp_path / "a.interact")
    tracks.write_bedpe(far, genes, EFFECTS, "Oligo", tmp_path / "a.bedpe")
    rows = body(tmp_path / "a.interact")
    assert len(rows) == 3 * (1 + (chromosome == "chr10"))
    for row in rows:
        assert [int(row[i]) for i in (9, 10, 14, 15)] == [119_730_211, 119_730_712, 119_755_123, 119_755_124]
        assert int(row[1]) < int(row[2])
    assert all(
        int(row[1]) == 119_730_211 and int(row[4]) == 119_755_123 for row in body(tmp_path / "a.bedpe")
    )


def test_a_type_without_sets_gives_files_without_rows(tmp_path):
    tracks.write_bed(sets(), "Micro", tmp_path / "a.bed")
    tracks.write_bedpe(sets(), GENES, EFFECTS, "Micro", tmp_path / "a.bedpe")
    tracks.write_interact(sets(), GENES, EFFECTS, "Micro", tmp_path / "a.interact")
    assert body(tmp_path / "a.bed") == body(tmp_path / "a.bedpe") == body(tmp_path / "a.interact") == []
    assert (tmp_path / "a.bedpe").read_text() == BEDPE_HEADER


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
