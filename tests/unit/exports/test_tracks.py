import numpy as np
import pandas as pd
import pybigtools
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from track_formats import INTERACT, read_bed, read_bedpe, read_bigwig, read_interact

from grids.exports import tracks
from grids.io.errors import InputError

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
    assert columns == "#" + "\t".join(INTERACT)
    rows = [dict(zip(INTERACT, row.split("\t"), strict=True)) for row in rows]
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


LARGEST = 2**31 - 2
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=6
)


@st.composite
def placed_sets(draw):
    """Sets of a type with their genes and effects, anywhere that 31 bits reach; some genes have no TSS."""
    places = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, LARGEST))
    names = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    at = [draw(places) for _ in names]
    genes = pd.DataFrame(
        {
            "gene": names,
            "chromosome": [chromosome for chromosome, _ in at],
            "strand": [draw(st.sampled_from(["+", "-", np.nan])) for _ in names],
            "tss": [draw(st.one_of(st.just(float(tss)), st.just(np.nan))) for _, tss in at],
        }
    )
    rows = []
    for gene in names:
        for rank, (chromosome, start) in enumerate(draw(st.lists(places, min_size=1, max_size=3)), start=1):
            end = draw(st.integers(start + 1, LARGEST + 1))
            effect = draw(st.one_of(st.floats(-3, 3), st.just(np.nan)))
            rows.append((gene, rank, chromosome, start, end, f"{chromosome}:{start}-{end}", effect))
    table = pd.DataFrame(
        rows, columns=["gene", "rank", "chromosome", "start", "end", "peak", "log_effect_in_context"]
    )
    task = {"surrogate": "window", "method": "grids", "cell_type": "Oligo", "direction": "silence"}
    task["passed_gate"] = draw(st.sampled_from([True, False, np.nan]))
    table = table.assign(**task, log_effect_alone=-1 / 3)
    table = table.assign(set_size=table.groupby("gene")["rank"].transform("max"))
    effects = table.drop_duplicates("gene").assign(q_value=draw(st.sampled_from([0.01, 0.5, np.nan])))
    return table, genes, effects


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(placed_sets())
def test_tracks_keep_to_their_formats_wherever_members_lie(tmp_path, placed):
    table, genes, effects = placed
    tracks.write_bed(table, "Oligo", tmp_path / "a.bed")
    bed = read_bed(tmp_path / "a.bed", n_columns=9)
    members = table[["chromosome", "start", "end"]]
    assert sorted(bed.iloc[:, :3].itertuples(index=False, name=None)) == sorted(
        members.itertuples(index=False, name=None)
    )
    arcs = table.merge(genes.rename(columns={"chromosome": "tss_chromosome"}), on="gene").dropna(subset="tss")
    ends = ["chromosome", "start", "end", "tss_chromosome", "tss", "tss_end", "strand"]
    arcs = arcs.assign(tss_end=arcs["tss"] + 1, strand=arcs["strand"].fillna("."))[ends]
    expected = sorted(arcs.itertuples(index=False, name=None))
    tracks.write_bedpe(table, genes, effects, "Oligo", tmp_path / "a.bedpe")
    bedpe = read_bedpe(tmp_path / "a.bedpe")
    assert sorted(bedpe[[*bedpe.columns[:6], "strand2"]].itertuples(index=False, name=None)) == expected
    assert set(bedpe["gene"]) == set(genes["gene"][genes["tss"].notna()])
    tracks.write_interact(table, genes, effects, "Oligo", tmp_path / "a.interact")
    interact = read_interact(tmp_path / "a.interact")
    got = interact.drop(columns=["sourceStrand", "sourceName", "targetName"])
    got = got[got["chrom"] == got["sourceChrom"]].iloc[:, 8:]
    assert sorted(got.itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("far", [False, True])
def test_tracks_have_every_digit_of_large_positions(tmp_path, far):
    near = {
        "chromosome": "chr6",
        "start": [29_602_238, 10_000_000, 5, 6],
        "end": [29_602_739, 10_000_001, 6, 7],
    }
    genes = GENES.assign(tss=[2_147_483_645.0, 29_657_092.0, np.nan], chromosome="chr10" if far else "chr6")
    table = sets(**near)
    tracks.write_bedpe(table, genes, EFFECTS, "Oligo", tmp_path / "a.bedpe")
    tracks.write_interact(table, genes, EFFECTS, "Oligo", tmp_path / "a.interact")
    arcs = {tuple(row[:6]) for row in body(tmp_path / "a.bedpe")}
    tss = "chr10" if far else "chr6", "2147483645", "2147483646"
    assert ("chr6", "29602238", "29602739", *tss) in arcs and ("chr6", "10000000", "10000001", *tss) in arcs
    assert len(read_interact(tmp_path / "a.interact")) == (6 if far else 3)


def test_names_with_quotes_stand_as_they_are(tmp_path):
    gene = 'a"b'
    genes, effects = GENES.assign(gene=[gene, "MOG", "NOTSS"]), EFFECTS.assign(gene=gene)
    tracks.write_bedpe(sets(gene=gene), genes, effects.iloc[:1], "Oligo", tmp_path / "a.bedpe")
    assert {(row[6].partition("|")[0], row[10]) for row in body(tmp_path / "a.bedpe")} == {(gene, gene)}


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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["chr1", "chr10", "chr2"]), st.integers(0, LARGEST), st.integers(1, 10**6)),
        min_size=1,
        max_size=8,
    )
)
def test_bigwig_keeps_to_its_format_wherever_peaks_lie(tmp_path, places):
    chromosome, start, length = zip(*places, strict=True)
    table = pd.DataFrame({"chromosome": chromosome, "start": start, "Oligo": 0.25})
    table["end"] = table["start"] + length
    sizes = table.groupby("chromosome")["end"].max().astype(int).to_dict()
    tracks.write_bigwig(table, "Oligo", sizes, tmp_path / "a.bw")
    got_sizes, intervals = read_bigwig(tmp_path / "a.bw")
    assert got_sizes == sizes and {value for *_, value in intervals} == {0.25}
    edges = {name: {*rows["start"], *rows["end"]} for name, rows in table.groupby("chromosome")}
    assert all({begin, end} <= edges[name] for name, begin, end, _ in intervals)


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
