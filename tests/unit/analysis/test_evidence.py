"""Evidence from outside: every format read, pairs judged, planted truth found, chance called chance."""

import gzip
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.metrics import average_precision_score

from grids.analysis.evidence.links import LINK_COLUMNS, read_links
from grids.analysis.evidence.pairs import (
    PREDICTORS,
    absolute_correlation,
    add_predictors,
    gene_scope,
    judge_pairs,
)
from grids.analysis.evidence.validation import (
    auprc,
    average_precision,
    distance_bins,
    enrichment,
    measure_evidence,
)
from grids.analysis.statistics import bootstrap_counts
from grids.data.intervals import link_windows, overlapping
from grids.figures.evidence import evidence as draw_evidence
from grids.io.cells import Modality, Multiome
from grids.io.config import EvidenceTable, check_evidence, format_of
from grids.io.errors import InputError
from grids.io.tables import EVIDENCE_COLUMNS, EVIDENCE_PAIR_COLUMNS

# Gene A at 100 kb on chr1 (+), gene B at 300 kb on chr1 (-), gene C on chr2.
GENES = pd.DataFrame(
    [
        ("A", "chr1", 100_000, 110_000, "+", 100_000),
        ("B", "chr1", 290_000, 300_001, "-", 300_000),
        ("C", "chr2", 50_000, 60_000, "+", 50_000),
    ],
    columns=["gene", "chromosome", "start", "end", "strand", "tss"],
)
PEAKS = pd.DataFrame(
    [(c, s, s + 500) for c in ("chr1", "chr2") for s in range(0, 400_000, 10_000)],
    columns=["chromosome", "start", "end"],
)


@pytest.fixture
def told(caplog, monkeypatch):
    """Messages of the library's log, which a job may have cut off from the others."""
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    caplog.set_level(logging.INFO, logger="grids")
    return lambda: "\n".join(record.getMessage() for record in caplog.records)


@pytest.fixture
def written(tmp_path):
    """Write lines to a file; words become tab-separated fields."""

    def write(name, *lines):
        path = tmp_path / name
        text = "".join("\t".join(line.split(" ")) + "\n" for line in lines)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def links_of(path, **options):
    of_run = {"run_assembly": options.pop("run_assembly", None)}
    return read_links(EvidenceTable("x", path, **options), PEAKS, GENES, **of_run)


def as_rows(links):
    return sorted(links.itertuples(index=False, name=None))


# --- reading ---------------------------------------------------------------------------------------


def test_published_column_names_are_known(written):
    path = written(
        "crispr.tsv.gz",
        "dataset chrom chromStart chromEnd name EffectSize measuredGeneSymbol Significant Regulated",
        "F chr1 50000 50400 A|chr1:50000-50400:. -0.4 A TRUE TRUE",
        "F chr1 70000 70400 A|chr1:70000-70400:. 0.3 A TRUE FALSE",
    )
    assert as_rows(links_of(path)) == [
        ("chr1", 50_000, 50_400, "A", True),
        ("chr1", 70_000, 70_400, "A", False),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "chromosome start end gene label",
        "#chr start end TargetGene is_positive",
        "CHROM Start Stop gene_name Significant",
        '"seqnames" "start" "end" "GeneSymbol" "Regulated"',
    ],
)
def test_aliases_in_any_case(written, header):
    path = written("x.tsv", header, "chr1 5 9 A yes", "chr1 5 9 B 0")
    assert as_rows(links_of(path)) == [("chr1", 5, 9, "A", True), ("chr1", 5, 9, "B", False)]


def test_a_label_or_a_score_of_choice(written):
    path = written("x.tsv", "chr start end gene mine q label", "1 5 6 A 1 0.2 0", "1 7 8 A 0 0.01 0")
    assert list(links_of(path, label="mine").is_positive) == [True, False]
    assert list(links_of(path, score="q", at_most=0.05).is_positive) == [False, True]
    assert list(links_of(path, score="q", at_least=0.2).is_positive) == [True, False]
    assert list(links_of(path).is_positive) == [False, False]


def test_bed_names_the_gene(written):
    path = written(
        "x.bed.gz", "track name=x", "# from somewhere", "chr1 5 9 A 3", "chr1 7 9 B|chr1:7-9:. 8 +"
    )
    assert as_rows(links_of(path)) == [("chr1", 5, 9, "A", True), ("chr1", 7, 9, "B", True)]
    strong = links_of(path, score="score", at_least=5)
    assert as_rows(strong) == [("chr1", 5, 9, "A", False), ("chr1", 7, 9, "B", True)]


def test_each_end_of_a_bedpe_is_tried_as_the_promoter(written):
    path = written(
        "x.bedpe",
        "chrom1 start1 end1 chrom2 start2 end2 name score",
        "chr1 99900 102000 chr1 200000 201000 . 7",  # A's promoter first
        "chr1 40000 41000 chr1 300500 302000 . 3",  # B's promoter second; upstream is right of a minus TSS
        "chr1 99900 102000 chr1 299000 300001 . 9",  # both
        "chr1 1000 2000 chr1 200000 201000 . 9",  # none
        "chr1 99900 102000 chr2 7000 8000 . 9",  # between chromosomes
    )
    assert as_rows(links_of(path, score="score", at_least=5)) == [
        ("chr1", 40_000, 41_000, "B", False),
        ("chr1", 99_900, 102_000, "B", True),
        ("chr1", 200_000, 201_000, "A", True),
        ("chr1", 299_000, 300_001, "A", True),
        ("chr2", 7_000, 8_000, "A", True),
    ]
    # B's TSS is 300,000: one base further downstream than the promoter reaches is no promoter.
    beside = "chr1 5000 6000 chr1 299000 {} . 9"
    assert len(links_of(written("y.bedpe", beside.format(299_901)))) == 1
    with pytest.raises(InputError, match="no end of its 1 rows overlaps the promoter"):
        links_of(written("z.bedpe", beside.format(299_900)))


def test_variants_are_elements_of_one_base(written):
    path = written("eqtl.txt", "chromosome start end gene", "chr1 1e+05 100001 A")
    assert as_rows(links_of(path)) == [("chr1", 100_000, 100_001, "A", True)]


def test_chromosomes_are_named_as_in_the_peaks(written):
    path = written("x.tsv", "chr start end gene", "1 5 6 A", "NC_000002.12 5 6 C")
    assert list(links_of(path).chromosome) == ["chr1", "chr2"]
    bare = {"chromosome": lambda t: t.chromosome.str.removeprefix("chr")}
    path = written("x.bedpe", "chr1 99900 102000 chr2 50 60")
    links = read_links(EvidenceTable("x", path), PEAKS.assign(**bare), GENES.assign(**bare))
    assert as_rows(links) == [("2", 50, 60, "A", True)]


def test_what_says_nothing_is_left_out_and_told(written, told):
    path = written(
        "x.tsv", "chr start end gene label", "chr1 5 6 A 1", "chr1 5 6 . 1", "NA NA NA B 1", "chr1 7 8 B NA",
        "chr1 9 10 UNHEARD 1",
    )  # fmt: skip
    assert as_rows(links_of(path)) == [("chr1", 5, 6, "A", True), ("chr1", 9, 10, "UNHEARD", True)]
    assert "1 rows say nothing in 'label'" in told()
    assert "1 genes are not in input.genes (UNHEARD)" in told()
    assert (
        "2 of 5 rows have coordinates, a gene and a value; 2 links of 2 genes, 2 of them positive" in told()
    )


HEADER = "chr start end gene label"


@pytest.mark.parametrize(
    ("name", "lines", "options", "message"),
    [
        ("x.tsv", ["chr start stop_at gene"], {}, "no column for the end; expected one of end, chromend, stop"),
        ("x.tsv", ["chr start end gene gene"], {}, "the header names column 'gene' twice"),
        ("x.tsv", [], {}, "no column for the chromosome.*the header is: empty"),
        ("x.tsv", [HEADER, "chr1 5 6 A maybe"], {}, "line 2: column 'label' holds 'maybe'; expected TRUE or FALSE"),
        ("x.tsv", [HEADER, "chr1 5 6 A 1 2"], {}, "line 2: 6 fields under a header of 5 columns"),
        ("x.tsv", [HEADER, "chr1 5 5 A 1"], {}, "line 2: chr1:5-5 is no interval.*a variant at position p is p - 1, p"),
        ("x.tsv", [HEADER, "chr1 1,000 6,000 A 1"], {}, "line 2: start is '1,000'; expected a whole number"),
        ("x.tsv", [HEADER, "chr1 5.5 6 A 1"], {}, "line 2: start is '5.5'; expected a whole number"),
        ("x.tsv", [HEADER, "chr9 5 6 A 1"], {}, "no chromosome in common.*elements lie on chr9, peaks on chr1, chr2"),
        ("x.tsv", [HEADER, "chr1 5 6 a 1"], {}, "none of its 1 genes.*Did you mean 'A'"),
        ("x.tsv", [HEADER, "chr1 5 6 . 1"], {}, "none of its 1 rows has coordinates, a gene and a value"),
        ("x.tsv", [HEADER], {"label": "Labl"}, "no column 'Labl'. Did you mean 'label'"),
        ("x.tsv", [HEADER, "chr1 5 6 A x"], {"score": "label", "at_least": 1}, "holds 'x'; expected a number"),
        ("x.tsv", [HEADER], {"score": "label"}, "exactly one of at_least and at_most"),
        ("x.bed", ["chr1 5 6"], {}, "line 1: 3 columns; a bed file of evidence has at least 4"),
        ("x.bedpe", ["chr1 5 6 chr1 7 8", "chr1 5 6"], {}, "line 2: 3 columns; a bedpe file of"),
    ],
)  # fmt: skip
def test_bad_tables_are_refused_in_one_line(written, name, lines, options, message):
    with pytest.raises(InputError, match=message) as error:
        links_of(written(name, *lines), **options)
    assert "\n" not in str(error.value) and "'x'" in str(error.value)


PLAIN = {
    "x.tsv": ["chr\tstart\tend\tgene\tlabel", "chr1\t100000\t200000\tA\tTRUE", "chr2\t5\t6\tC\tFALSE"],
    "x.bed": ["chr1\t100000\t200000\tA", "chr2\t5\t6\tC"],
    "x.bedpe": ["chr1\t200000\t240000\tchr2\t50000\t50001", "chr1\t5\t6\tchr1\t100000\t100001"],
}
DRESSED = {
    "Windows line ends": lambda lines: "\r\n".join(lines),
    "old Mac line ends": lambda lines: "\r".join(lines),
    "a mark of byte order": lambda lines: "\ufeff" + "\n".join(lines),
    "empty lines": lambda lines: "\n\n".join(lines) + "\n \n",
    "quotes": lambda lines: "\n".join('"' + line.replace("\t", '"\t"') + '"' for line in lines),
    "space around fields": lambda lines: "\n".join(line.replace("\t", " \t ") + " " for line in lines),
    "numbers as R writes them": lambda lines: "\n".join(lines).replace("00000", "e+05"),
    "numbers as floats": lambda lines: (
        "\n".join(lines).replace("100000", "100000.0").replace("\t5\t", "\t5.0\t")
    ),
    "no chr": lambda lines: "\n".join(lines).replace("chr1", "1").replace("chr2", "2"),
    "comments": lambda lines: "# from\n##version 1\n" + "\n".join(lines),
}


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("dress", DRESSED)
def test_the_same_table_is_read_however_it_is_dressed(tmp_path, name, dress):
    plain, dressed = tmp_path / name, tmp_path / f"dressed.{name}.gz"
    plain.write_text("\n".join(PLAIN[name]))
    dressed.write_bytes(gzip.compress(DRESSED[dress](PLAIN[name]).encode()))
    links = links_of(plain)
    assert len(links) == 2
    assert as_rows(links_of(dressed)) == as_rows(links)


def test_unreadable_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="file not found"):
        links_of(tmp_path / "none.bed")
    (tmp_path / "folder.bed").mkdir()
    with pytest.raises(InputError, match="this is a folder"):
        links_of(tmp_path / "folder.bed")
    broken, binary = tmp_path / "x.bed.gz", tmp_path / "x.bed"
    broken.write_bytes(gzip.compress(b"chr1\t5\t6\tA\n" * 1000)[:-20])
    with pytest.raises(InputError, match="gzip file is damaged"):
        links_of(broken)
    binary.write_bytes(b"\xff\xfe\x00chr1")
    with pytest.raises(InputError, match="no UTF-8 text"):
        links_of(binary)


def test_another_assembly_is_refused(written, told):
    path = written("x.tsv", "chr start end gene", "chr1 5 6 A", "chr2 242193600 242193700 C")
    with pytest.raises(InputError, match=r"input.assembly says 'hg38', evidence 'x' says 'hg19'"):
        links_of(path, assembly="hg19", run_assembly="hg38")
    # beyond the end of hg38's chromosome 2, but not of hg19's
    for which in ({"assembly": "GRCh38"}, {"run_assembly": "hg38"}):
        with pytest.raises(InputError, match="1 of 2 elements lie beyond the end of their chromosome"):
            links_of(path, **which)
    assert len(links_of(path, assembly="hg19", run_assembly="GRCh37")) == 2
    assert "could not be checked" not in told()
    links_of(path)
    assert "neither its assembly nor input.assembly is given" in told()


# --- what the config may say -----------------------------------------------------------------------


def test_formats_come_from_the_suffix():
    assert [format_of(p) for p in ("a.BED", "a.bedpe.gz", "a.b.tsv", "a.txt.gz")] == [
        "bed",
        "bedpe",
        "tsv",
        "tsv",
    ]
    assert format_of("a.csv", "tsv") == "tsv"
    with pytest.raises(InputError, match=r"suffix '.csv' does not tell the format"):
        format_of("a.csv")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"label": "a", "score": "b", "at_least": 1}, "label excludes score"),
        ({"label": "a", "at_most": 1}, "label excludes score"),
        ({"score": "b"}, "exactly one of at_least and at_most"),
        ({"score": "b", "at_least": 1, "at_most": 2}, "exactly one of at_least and at_most"),
        ({"at_least": 0}, "they need a score"),
        ({"path": "x.bed", "label": "a"}, "a bed file has no column 'a'"),
        ({"path": "x.bedpe", "score": "b", "at_least": 1}, "a bedpe file has no column 'b'"),
        ({"path": "x.csv"}, "does not tell the format"),
    ],
)
def test_contradictions_in_the_config_are_refused(entry, message):
    with pytest.raises(InputError, match=f"c.yaml: evidence 'e': .*{message}"):
        check_evidence([{"name": "e", "path": "x.tsv", **entry}], "c.yaml")


def test_every_table_has_its_own_name():
    entries = [
        {"name": "e", "path": "x.tsv"},
        {"name": "e", "path": "y.bed", "score": "score", "at_least": 0},
    ]
    check_evidence(entries[1:], "c.yaml")
    with pytest.raises(InputError, match="'e': this name stands twice"):
        check_evidence(entries, "c.yaml")


# --- pairs -----------------------------------------------------------------------------------------


spans = st.lists(
    st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 40), st.integers(1, 9)),
    min_size=0,
    max_size=12,
)


@given(spans, spans)
def test_overlaps_are_those_of_brute_force(first, second):
    first, second = (
        pd.DataFrame([(c, s, s + n) for c, s, n in rows], columns=["chromosome", "start", "end"])
        for rows in (first, second)
    )
    expected = [
        (i, j)
        for i, a in enumerate(first.itertuples())
        for j, b in enumerate(second.itertuples())
        if a.chromosome == b.chromosome and a.start < b.end and b.start < a.end
    ]
    assert list(zip(*overlapping(first, second), strict=True)) == expected


def links_table(*rows):
    return pd.DataFrame(rows, columns=LINK_COLUMNS)


def judged(links, windows=None):
    windows = link_windows(PEAKS, GENES, window_bp=30_000) if windows is None else windows
    return judge_pairs(windows, links)


def test_tested_elements_are_the_only_pairs_judged():
    pairs = judged(
        links_table(
            ("chr1", 90_400, 90_450, "A", True),
            ("chr1", 120_499, 120_600, "A", False),  # touches the last base of a peak
            ("chr1", 110_500, 110_600, "A", False),  # begins where a peak ends
            ("chr1", 80_000, 90_100, "A", False),  # two peaks, one of them in a positive link
            ("chr1", 310_000, 310_001, "A", True),  # not in A's window
            ("chr1", 310_000, 310_001, "B", False),
        )
    )
    found = {(row.gene, row.peak): row.is_positive for row in pairs.itertuples()}
    assert found == {
        ("A", "chr1:80000-80500"): False,
        ("A", "chr1:90000-90500"): True,
        ("A", "chr1:120000-120500"): False,
        ("B", "chr1:310000-310500"): False,
    }


def test_other_peaks_of_listed_genes_are_negative():
    links = links_table(("chr1", 90_000, 90_100, "A", True), ("chr1", 380_000, 380_100, "B", True))
    assert gene_scope(links) == "listed"
    pairs = judged(links)
    windows = link_windows(PEAKS, GENES, window_bp=30_000)
    assert list(zip(pairs.gene, pairs.peak, strict=True)) == [
        (row.gene, row.peak) for row in windows.itertuples() if row.gene in "AB"
    ]
    assert list(pairs.peak[pairs.is_positive]) == ["chr1:90000-90500"]


def test_predictors_have_the_stated_values():
    pairs = pd.DataFrame(
        {"peak": ["p", "q"], "gene": "A", "distance_to_tss_bp": [-20_000, 400], "score": [0.3, -0.1]}
    )
    table = add_predictors(pairs, pd.Series({"q": 0.5, "p": 0.25}), np.array([0.7, 0.1]))
    assert_allclose(table["grids"], [0.3, -0.1])
    assert_allclose(table["distance"], [-20_000, -400])
    assert_allclose(table["correlation"], [0.7, 0.1])
    assert_allclose(table["accessibility_over_distance"], [0.25 / 20_000**0.87, 0.5 / 5_000**0.87])
    assert "score" not in table


def test_correlation_is_pearsons():
    rng = np.random.default_rng(0)
    opened = (rng.random((60, 7)) < 0.3).astype(np.uint8) * rng.integers(1, 4, (60, 7)).astype(np.uint8)
    opened[:, 6] = 0
    expression = np.where(rng.random((60, 3)) < 0.5, 0, rng.gamma(2, 1, (60, 3))).astype(np.float32)
    expression[:, 2] = 1.5
    peak, gene = np.array([0, 5, 2, 6, 1, 3]), np.array([1, 0, 1, 0, 2, 0])
    found = absolute_correlation(sparse.csr_matrix(opened), sparse.csr_matrix(expression), peak, gene)
    expected = [
        abs(np.corrcoef(opened[:, p] > 0, expression[:, g])[0, 1]) if p != 6 and g != 2 else 0
        for p, g in zip(peak, gene, strict=True)
    ]
    assert_allclose(found, expected, atol=1e-12)


# --- agreement -------------------------------------------------------------------------------------


@given(
    arrays.arrays(bool, 25),
    arrays.arrays(int, 25, elements=st.integers(0, 6)),
    arrays.arrays(int, (3, 25), elements=st.integers(0, 3)),
)
def test_average_precision_is_that_of_sklearn(is_positive, score, weights):
    found = average_precision(is_positive, score.astype(float), np.arange(25), weights)
    for value, weight in zip(found, weights, strict=True):
        if (weight * is_positive).sum():
            assert_allclose(value, average_precision_score(is_positive, score, sample_weight=weight))
        else:
            assert np.isnan(value)


def test_average_precision_by_hand():
    is_positive, gene = np.array([True, False, True, False]), np.array([0, 0, 1, 1])
    once, first_twice = np.ones((1, 2)), np.array([[2, 1]])
    falling, rising = np.array([4.0, 3, 2, 1]), np.array([1.0, 2, 3, 4])
    assert_allclose(average_precision(is_positive, falling, gene, once), (1 + 2 / 3) / 2)
    assert_allclose(average_precision(is_positive, rising, gene, once), (1 / 2 + 2 / 4) / 2)
    assert_allclose(average_precision(is_positive, np.zeros(4), gene, once), 0.5)
    assert_allclose(average_precision(is_positive, falling, gene, first_twice), (2 * 1 + 3 / 5) / 3)


def planted(n_genes=60, n_per_gene=40, share=0.1, seed=0, by_distance=0.0):
    """Random pairs; near ones are positive more often when `by_distance` is above 0."""
    rng = np.random.default_rng(seed)
    gene = np.repeat(np.arange(n_genes), n_per_gene)
    distance = rng.uniform(0, 500_000, len(gene))
    chance = share * (1 + by_distance * np.exp(-distance / 50_000))
    return gene, distance, rng.random(len(gene)) < chance, rng


def test_a_perfect_predictor_has_auprc_one_and_a_random_one_the_base_rate():
    gene, _, is_positive, rng = planted()
    weights = bootstrap_counts(60, 400, rng)
    assert auprc(is_positive, is_positive.astype(float), gene, weights) == (1, 1, 1)
    value, low, high = auprc(is_positive, rng.random(len(gene)), gene, weights)
    assert low < is_positive.mean() < high
    assert low < value < high and high - low < 0.1


def test_intervals_resample_genes_and_not_pairs():
    # Half of the genes are predicted perfectly, half in reverse: the draws differ by whole genes.
    gene = np.repeat(np.arange(10), 20)
    is_positive = np.tile(np.arange(20) < 2, 10)
    score = np.where(gene < 5, is_positive, ~is_positive).astype(float)
    _, low, high = auprc(is_positive, score, gene, bootstrap_counts(10, 500, np.random.default_rng(1)))
    copies = np.arange(len(gene))
    _, pair_low, pair_high = auprc(
        is_positive, score, copies, bootstrap_counts(len(gene), 500, np.random.default_rng(1))
    )
    assert high - low > 1.3 * (pair_high - pair_low)
    weights = bootstrap_counts(10, 500, np.random.default_rng(1))
    assert (weights.sum(axis=1) == 10).all()


def test_no_interval_for_one_gene_and_no_value_without_positives():
    weights = bootstrap_counts(1, 50, np.random.default_rng(0))
    gene, score = np.zeros(8, int), np.arange(8.0)
    value, low, high = auprc(score > 5, score, gene, weights)
    assert value == 1 and np.isnan([low, high]).all()
    assert np.isnan(auprc(score > 9, score, gene, weights)).all()
    assert np.isnan(auprc(score > 5, np.full(8, np.nan), gene, weights)).all()
    rng = np.random.default_rng(0)
    assert np.isnan(enrichment(score > 9, score, gene, score, weights, 2, rng)).all()
    assert np.isnan(enrichment(score > 5, score, gene, score, weights, 8, rng)).all()


def enriched(score, pairs, n_top=4):
    gene, distance, is_positive, _ = pairs
    weights = bootstrap_counts(gene.max() + 1, 300, np.random.default_rng(5))
    return enrichment(is_positive, score, gene, distance, weights, n_top, np.random.default_rng(6))


@pytest.mark.parametrize(("predictor", "tolerance"), [("distance", 0.03), ("chance", 0.1)])
def test_distance_and_chance_are_not_enriched_over_pairs_at_the_same_distance(predictor, tolerance):
    values, n_covered = [], 0
    for seed in range(12):
        pairs = gene, distance, is_positive, rng = planted(n_genes=150, by_distance=6.0, seed=seed)
        is_near = distance < np.quantile(distance, 0.1)
        assert is_positive[is_near].mean() > 2 * is_positive.mean()  # distance does add_predictors
        value, low, high = enriched(-distance if predictor == "distance" else rng.random(len(gene)), pairs)
        values.append(value)
        n_covered += low < 1 < high
    assert abs(np.mean(values) - 1) < tolerance
    assert n_covered >= 10  # of 12 intervals of 95 %


def test_enrichment_of_a_perfect_predictor():
    # 4 positives of 40 in each gene, at any distance: the top 4 are all positive, a tenth is expected.
    rng = np.random.default_rng(0)
    gene = np.repeat(np.arange(50), 40)
    is_positive = np.tile(np.arange(40) < 4, 50)
    pairs = gene, rng.uniform(0, 500_000, len(gene)), is_positive, rng
    value, low, high = enriched(is_positive + rng.random(len(gene)), pairs)
    assert low < 10 < high and abs(value - 10) < 0.6
    half, _, _ = enriched(is_positive + rng.random(len(gene)), pairs, n_top=8)
    assert_allclose(half, value / 2, rtol=0.05)


def test_small_genes_do_not_count_in_the_enrichment():
    rng = np.random.default_rng(0)
    gene, distance, is_positive, _ = planted(n_genes=30, seed=2)
    score = rng.random(len(gene)) + is_positive
    alone = enriched(score, (gene, distance, is_positive, None))[0]
    more = [np.r_[gene, [30] * 4], np.r_[distance, [1e5] * 4], np.r_[is_positive, [True] * 4], None]
    assert enriched(np.r_[score, np.ones(4)], more)[0] == alone


def test_ties_do_not_favour_the_order_of_the_table():
    gene = np.repeat(np.arange(100), 40)
    is_positive = np.tile(np.arange(40) < 4, 100)  # positives first
    pairs = gene, np.random.default_rng(0).uniform(0, 1e5, len(gene)), is_positive, None
    value, low, high = enriched(np.zeros(len(gene)), pairs)
    assert low < 1 < high and value < 2


def test_distance_bins_hold_enough_pairs():
    distance = np.random.default_rng(0).exponential(1e5, 2000)
    counts = np.bincount(distance_bins(distance))
    assert len(counts) == 20 and counts.min() >= 99
    assert set(distance_bins(distance[:60])) == {0}
    assert len(np.unique(distance_bins(np.repeat([0, 7.0], 500)))) == 2


# --- everything together ---------------------------------------------------------------------------


N_LOCI = 12


@pytest.fixture
def run(written):
    """A run of two cell types in which the second peak of each gene is its enhancer, and a table of them."""
    rng = np.random.default_rng(0)
    genes = pd.DataFrame({"gene": [f"G{i}" for i in range(N_LOCI)], "chromosome": "chr1", "strand": "+"})
    genes["tss"] = 1_000_000 * (1 + np.arange(N_LOCI))
    genes["start"], genes["end"] = genes["tss"], genes["tss"] + 5_000
    start = (
        genes["tss"].to_numpy()[:, None] + np.array([-40, -25, -10, 0, 15, 30, 45, 60, 75, 90]) * 1000
    ).ravel()
    peaks = pd.DataFrame({"chromosome": "chr1", "start": start, "end": start + 400})
    windows = link_windows(peaks, genes, window_bp=200_000)
    opened = (rng.random((300, len(peaks))) < 0.4).astype(np.uint8)
    enhancer = 10 * np.arange(N_LOCI) + 1
    expression = opened[:, enhancer] * 1.0 + rng.random((300, N_LOCI)) * 0.2
    obs = pd.DataFrame(
        {"cell_type": np.repeat(["T", "U"], 150), "split": "train"}, index=map(str, range(300))
    )
    names = pd.Index([f"chr1:{s}-{s + 400}" for s in start])
    multiome = Multiome(
        Modality(sparse.csr_matrix(expression), obs, pd.DataFrame(index=genes["gene"])),
        Modality(sparse.csr_matrix(opened), obs, pd.DataFrame(index=names)),
        paired=True,
    )
    accessibility = peaks.assign(peak=names)[["peak", "chromosome", "start", "end"]]
    for cell_type in "TU":
        accessibility[cell_type] = opened[(obs["cell_type"] == cell_type).to_numpy()].mean(axis=0)
    is_enhancer = windows["peak"].isin(names[enhancer])
    scores = windows[["gene", "peak"]].assign(
        cell_type="T", passed_gate=True, score=is_enhancer + 0.1 * rng.random(len(windows))
    )
    rows = [
        f"chr1 {s} {s + 10} G{i // 10} {'TRUE' if i % 10 == 1 else 'FALSE'}"
        for i, s in enumerate(start)
        if i % 10
    ]
    tested = written("tested.tsv", "chr start end gene Regulated", *rows)
    anchors = [
        f"chr1 {tss - 500} {tss + 500} chr1 {tss - 26000} {tss - 24900}" for tss in genes["tss"]
    ]  # fmt: skip
    return (multiome, windows, genes, accessibility, scores), tested, written("capture.bedpe", *anchors)


def measure(entries, multiome, windows, genes, accessibility, scores, seed=0, n_top=5, n_draws=1000):
    evidence = [EvidenceTable(**entry) for entry in entries]
    evidence = [(table, read_links(table, accessibility, genes)) for table in evidence]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("grids.analysis.evidence.validation.N_TOP", n_top)
        patch.setattr("grids.analysis.evidence.validation.N_BOOTSTRAP", n_draws)
        return measure_evidence(evidence, multiome, windows, accessibility, scores, seed)


def test_planted_pairs_are_recovered_from_each_kind_of_table(run):
    data, tested, capture = run
    entries = [{"name": "tested", "path": tested}, {"name": "capture", "path": capture, "cell_types": ["T"]}]
    evidence, pairs = measure(entries, *data, n_top=1, n_draws=200, seed=3)
    assert list(evidence) == EVIDENCE_COLUMNS and list(pairs) == EVIDENCE_PAIR_COLUMNS
    assert list(evidence["predictor"]) == [*PREDICTORS] * 2
    assert set(evidence["cell_type"]) == {"T"}
    assert list(evidence["gene_scope"].unique()) == ["tested", "listed"]
    # 10 peaks per gene: the first is not tested; the one at the promoter cannot be seen in a capture
    assert list(evidence["n_pairs"]) == [9 * N_LOCI] * 8
    assert (evidence["n_positive"] == N_LOCI).all()
    by = evidence.set_index(["evidence", "predictor"])
    for name in ("tested", "capture"):
        for predictor in ("grids", "correlation"):
            row = by.loc[name, predictor]
            assert row["auprc"] == row["auprc_low"] == row["auprc_high"] == 1
            assert row["enrichment"] > 3 and row["enrichment_low"] > 2
        assert by.loc[(name, "distance"), "auprc"] < 0.5
    assert not pairs.loc[pairs["evidence"] == "capture", "distance_to_tss_bp"].eq(0).any()


def test_measurement_is_repeatable_and_follows_the_seed(run):
    data, tested, _ = run
    entries = [{"name": "tested", "path": tested}]
    data = (*data[:4], data[4].assign(score=np.random.default_rng(1).random(len(data[4]))))
    first, again, other = (measure(entries, *data, n_draws=50, seed=s)[0] for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert (first["auprc"] == other["auprc"]).all()
    assert (first["auprc_low"] != other["auprc_low"]).any()


def test_nothing_to_judge_is_a_row_and_a_warning(run, written, told):
    data, _, _ = run
    path = written("x.tsv", "chr start end gene", "chr1 5 9 G3")
    evidence, pairs = measure(
        [{"name": "x", "path": path}, {"name": "y", "path": path, "cell_types": ["U"]}], *data
    )
    assert list(evidence["n_pairs"]) == [10] * 4 + [0] * 4 and (evidence["n_positive"] == 0).all()
    assert evidence[["auprc", "auprc_low", "enrichment", "enrichment_high"]].isna().all(axis=None)
    assert len(pairs) == 10
    assert told().count("no positive link meets a peak") == 2


def test_cells_that_are_not_paired_have_no_correlation(run, told):
    (multiome, *data), tested, _ = run
    unpaired = Multiome(multiome.rna, multiome.atac, paired=False)
    evidence, _ = measure([{"name": "e", "path": tested}], unpaired, *data, n_draws=50)
    assert list(evidence.loc[evidence["auprc"].isna(), "predictor"]) == ["correlation"]
    assert "the cells are not paired" in told()


def test_a_cell_type_that_the_run_does_not_have_is_refused(run):
    data, tested, _ = run
    entries = [{"name": "e", "path": tested, "cell_types": ["t"]}]
    with pytest.raises(InputError, match=r"evidence 'e': cell type 't' is not in the data. Did you mean 'T'"):
        measure(entries, *data)


def test_without_tables_there_are_no_rows(run):
    evidence, pairs = measure([], *run[0])
    assert (list(evidence), len(evidence), len(pairs)) == (EVIDENCE_COLUMNS, 0, 0)


# --- figure ----------------------------------------------------------------------------------------


def test_figure_shows_values_intervals_and_base_rate(run):
    data, tested, capture = run
    entries = [{"name": "tested", "path": tested}, {"name": "capture", "path": capture}]
    table, _ = measure(entries, *data, n_top=1, n_draws=100)
    figure = draw_evidence(table)
    left, right = figure.axes
    for ax, value in ((left, "auprc"), (right, "enrichment")):
        drawn = {line.get_label(): line.get_xdata()[0] for line in ax.lines[::1] if "_" in line.get_label()}
        last = table[table["evidence"] == "capture"].set_index("predictor")[value]
        assert_allclose([drawn[f"_{value} {name}"] for name in PREDICTORS], last.loc[[*PREDICTORS]])
        ends = [c.get_segments()[0][:, 0] for c in ax.collections if c.get_label() == f"_{value} interval"]
        assert_allclose(ends, table[[f"{value}_low", f"{value}_high"]])
    base = [c.get_segments()[0][0, 0] for c in left.collections if c.get_label() == "_base rate"]
    assert_allclose(base, [1 / 9, 1 / 9])
    words = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert "tested\nT\n12 of 108 pairs" in words and "|correlation|" in words


def test_figure_survives_missing_values_and_many_rows(run):
    data, tested, _ = run
    table, _ = measure([{"name": "tested", "path": tested}], *data, n_draws=20)
    empty = draw_evidence(table.assign(n_positive=0))
    assert "no explained gene has a positive pair in the evidence" in [
        t.get_text() for t in empty.axes[0].texts
    ]
    many = pd.concat([table.assign(evidence=f"$e{i}", enrichment=np.nan) for i in range(20)])
    figure = draw_evidence(many, max_rows=7)
    figure.draw_without_rendering()
    assert len(figure.axes[0].get_yticks()) == 7
    assert "7 of 20 rows are shown" in figure.axes[0].get_xlabel()


def test_genes_that_did_not_pass_the_gate_are_left_out_unless_there_are_no_others(run):
    (*data, scores), tested, _ = run
    entries = [{"name": "tested", "path": tested}]
    failed = scores["gene"].isin(["G0", "G3"])
    table, pairs = measure(entries, *data, scores.assign(passed_gate=~failed), n_draws=20)
    without, _ = measure(entries, *data, scores[~failed], n_draws=20)
    pd.testing.assert_frame_equal(table, without)
    assert set(pairs.loc[~pairs["passed_gate"], "gene"]) == {"G0", "G3"}
    none, _ = measure(entries, *data, scores.assign(passed_gate=False), n_draws=20)
    assert (none["n_not_passed"] == N_LOCI).all() and (none["n_pairs"] > table["n_pairs"]).all()
    assert (
        len([a for a in draw_evidence(none).findobj() if a.get_label() == "_forced"]) == 2
    )  # one in each panel
