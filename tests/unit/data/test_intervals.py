"""Peak names, chromosome dialects, assemblies, distances and windows."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem
from hypothesis import given, settings
from hypothesis import strategies as st

from grids.data.annotation import read_genes
from grids.data.chromosomes import (
    CHROMOSOME_SIZES,
    agree_on_assembly,
    assembly_name,
    check_assembly,
    harmonise_chromosomes,
    sort_order,
)
from grids.data.coordinates import parse_peaks, peak_names
from grids.data.intervals import WINDOW_COLUMNS, distance_to_tss, link_windows, locate
from grids.io.errors import InputError


def table(*rows):
    return pd.DataFrame(rows, columns=["chromosome", "start", "end"])


def gene_table(*rows):
    genes = pd.DataFrame(rows, columns=["gene", "chromosome", "start", "end", "strand"])
    return genes.assign(tss=np.where(genes.strand == "-", genes.end - 1, genes.start))


# --- peak names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1:100-200", ("chr1", 100, 200)),
        ("chr1-100-200", ("chr1", 100, 200)),
        ("chr1_100_200", ("chr1", 100, 200)),
        ("X:0-7", ("X", 0, 7)),
        ("chrUn_KI270742v1-10-20", ("chrUn_KI270742v1", 10, 20)),
        ("chr1_KI270706v1_random_10_20", ("chr1_KI270706v1_random", 10, 20)),
        ("GL000194.1:1-20", ("GL000194.1", 1, 20)),
        ("GL000194.1-1-20", ("GL000194.1", 1, 20)),
        ("HLA-A*01:01-5-20", ("HLA-A*01:01", 5, 20)),
        ("scaffold-12-100-200", ("scaffold-12", 100, 200)),
        ("GL000194-1-100-200", ("GL000194-1", 100, 200)),
        ("chr1.100.200", ("chr1", 100, 200)),
        ("GL000194.1.100.200", ("GL000194.1", 100, 200)),
        ("HLA.A.01.01.5.20", ("HLA.A.01.01", 5, 20)),
    ],
)
def test_names_in_every_dialect(name, expected):
    peaks = parse_peaks([name])
    assert tuple(peaks.loc[name]) == expected
    assert list(peak_names(peaks)) == ["{}:{}-{}".format(*expected)]


@settings(deadline=None)
@given(
    chromosome=st.sampled_from(["chr1", "2", "chrUn_KI270742v1", "GL000194.1", "a-b_c.1"]),
    start=st.integers(0, 10**9),
    width=st.integers(1, 10**6),
    separators=st.sampled_from([":-", "--", "__", ".."]),
)
def test_names_survive_a_round_trip(chromosome, start, width, separators):
    name = f"{chromosome}{separators[0]}{start}{separators[1]}{start + width}"
    assert tuple(parse_peaks([name]).iloc[0]) == (chromosome, start, start + width)


@pytest.mark.parametrize(
    "columns",
    [
        ("chromosome", "start", "end"),
        ("chrom", "chromStart", "chromEnd"),
        ("seqnames", "start", "end"),
        ("Chromosome", "Start", "End"),
        ("chr", "Start", "End"),
    ],
)
def test_columns_in_every_dialect(columns):
    chromosome, start, end = columns
    var = pd.DataFrame({chromosome: pd.Categorical(["chr2", "chr1"]), start: [5.0, 1.0], end: ["9", "4"]})
    peaks = parse_peaks(["peak_a", "peak_b"], var)
    assert peaks.to_dict("list") == {"chromosome": ["chr2", "chr1"], "start": [5, 1], "end": [9, 4]}
    assert list(peaks.index) == ["peak_a", "peak_b"]
    assert peaks.start.dtype == np.int64


def test_an_interval_column_and_a_named_column_are_read():
    var = pd.DataFrame({"interval": ["chr1:1-4"], "where": ["chr2-5-9"]}, index=["peak_a"])
    assert tuple(parse_peaks(var.index, var).iloc[0]) == ("chr1", 1, 4)
    assert tuple(parse_peaks(var.index, var, peak_name_key="where").iloc[0]) == ("chr2", 5, 9)


@pytest.mark.parametrize(
    ("names", "columns", "agree"),
    [
        (["chr1:100-200", "chr2:5-9"], {"chrom": ["1", "2"], "start": [101, 6], "end": [200, 9]}, True),
        (
            ["chr1:100-200", "chr2:5-9"],
            {"chrom": ["1", "2"], "start": [100, 1005], "end": [200, 1009]},
            False,
        ),
        (["chr1:100-200", "chr2:5-9"], {"chrom": ["1", "3"], "start": [100, 5], "end": [200, 9]}, False),
        (
            ["sample_1_23", "sample_2_24"],
            {"chr": ["chr1", "chr1"], "start": [10, 90], "end": [20, 99]},
            False,
        ),
        (["chr1:100-200", "chr2:5-9"], {"interval": ["chr1:100-200", "chr2:7-9"]}, False),
    ],
)
def test_names_and_columns_that_disagree_need_a_choice(names, columns, agree):
    var = pd.DataFrame(columns, index=names)
    by_names, by_columns = (parse_peaks(names, var, coordinates=choice) for choice in ("names", "columns"))
    assert by_names.equals(parse_peaks(names))
    assert by_columns.equals(parse_peaks(range(2), var).set_axis(names))
    if agree:
        assert parse_peaks(names, var).equals(by_names)
        return
    assert not by_names.equals(by_columns)
    with pytest.raises(
        InputError, match=r"a\.h5ad: .*place . of 2 peaks differently.*input\.peak_coordinates"
    ):
        parse_peaks(names, var, where="a.h5ad")


def test_columns_that_are_chosen_have_to_be_there():
    with pytest.raises(InputError, match=r"peak_coordinates is 'columns', but .* columns: score"):
        parse_peaks(["chr1:100-200"], pd.DataFrame({"score": [1]}), coordinates="columns")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["chr1:1-5", "peak_7", "chr1:1,000-2,000"],
            r"atac.h5ad: 2 of 3 peaks have no coord.*peak_7, chr1:1,000",
        ),
        (["chr1:1-5", "chr1:-4-5"], r"1 peaks start before position 0 \(e.g. chr1:-4-5\)"),
        (["chr1:100.5-200"], "1 of 1 peaks have no coordinates"),
        (["GL000194.1-100"], "1 of 1 peaks have no coordinates"),
        (["chr1:5-5"], r"1 peaks end at or before their start \(e.g. chr1:5-5\)"),
        (["chr1:9-5"], r"end at or before their start"),
        (["chr1:1-5", "chr1-1-5"], r"1 peaks have the coordinates of an earlier one \(e.g. chr1-1-5\)"),
        (["chr1:1-99999999999999999999"], r"no coordinates"),
        (["CD3E", "CD4", "CD8A", "NKG7"], r"4 of 4 .* \(e.g. CD3E, CD4, CD8A\)"),
    ],
)
def test_bad_peaks_are_told_by_name(names, message):
    with pytest.raises(InputError, match=message):
        parse_peaks(names, where="atac.h5ad")


@pytest.mark.parametrize("start", [None, "x", 1.5, np.nan])
def test_a_peak_whose_column_is_no_number_is_told(start):
    var = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [0, start], "end": [9, 9]})
    with pytest.raises(InputError, match=r"1 of 2 peaks have no coordinates \(e.g. b\)"):
        parse_peaks(["a", "b"], var)


def test_an_unknown_name_column_is_told_with_a_guess():
    with pytest.raises(InputError, match=r"'peak_names' is not a column.*Did you mean 'peak_name'"):
        parse_peaks(["a"], pd.DataFrame({"peak_name": ["chr1:1-2"]}), peak_name_key="peak_names")


def test_odd_numbers_in_names_have_an_order():
    names = ["scaffold_" + "9" * 5000, "scaffold_10", "scaffold_009", "scaffold_²", "scaffold_"]
    order = sort_order(pd.DataFrame({"chromosome": names, "start": 0, "end": 1}))
    assert [names[i] for i in order] == ["scaffold_", "scaffold_009", "scaffold_10", names[0], "scaffold_²"]


@pytest.mark.parametrize("prefix", ["chr", ""])
def test_chromosomes_are_sorted_as_people_do(prefix):
    ordered = [prefix + c for c in ("1", "2", "10", "22", "X", "Y", "M")] + ["GL000009.2", "GL000194.1"]
    rows = [(c, start, end) for c in ordered for start, end in ((5, 7), (5, 9), (20, 30))]
    peaks = table(*rows)
    shuffled = peaks.sample(frac=1, random_state=3)
    assert shuffled.iloc[sort_order(shuffled)].to_numpy().tolist() == [list(row) for row in rows]


# --- chromosome dialects ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of_genes", "of_peaks"),
    [
        (["1", "X", "MT", "KI270728.1"], ["chr1", "chrX", "chrM", "chr16_KI270728v1_random"]),
        (["chr1", "chrX", "chrM", "chrUn_GL000195v1"], ["1", "X", "MT", "GL000195.1"]),
        (["NC_000001.11", "NC_000023.11", "NC_012920.1"], ["chr1", "chrX", "chrM"]),
        (["NC_000067.6", "NC_000087.7", "NC_005089.1"], ["1", "Y", "MT"]),
        (["1", "GL000194.1", "KI270728.1"], ["chr1", "chrUn_GL000194v1", "chr16_KI270728v1_random"]),
        (["1", "GL000194.1", "JH584299.1"], ["chr1", "chr4_gl000194_random", "chr1_JH584299_random"]),
        (["chr1", "chr1_GL000194v1_random", "chrUn_KI270742v1"], ["chr1", "GL000194-1", "KI270742_1"]),
        (["1", "GL000194.1", "KI270728.2"], ["chr1", "chrUn-GL000194v1", "chr16-KI270728v2-random"]),
        (["1", "NW_019942502.1", "AAEX03017863.1"], ["chr1", "chrUn_NW_019942502v1", "chrUn_AAEX03017863v1"]),
        (["chr1", "HLA-A*01:01", "scaffold_12"], ["chr1", "HLA.A.01.01", "scaffold-12"]),
        (["1", "22", "X"], ["X1", "X22", "X"]),  # R's names of columns begin with a letter
        (["1", "X1", "X2"], ["1", "X1", "X2"]),  # platypus
    ],
)
def test_genes_take_the_dialect_of_the_peaks(of_genes, of_peaks):
    genes, report = harmonise_chromosomes(
        pd.DataFrame({"chromosome": of_genes}), pd.DataFrame({"chromosome": of_peaks})
    )
    assert list(genes.chromosome) == of_peaks
    assert (report.share_matched == 1).all()


def test_contigs_that_could_be_several_keep_their_names():
    genes = pd.DataFrame({"chromosome": ["1", "c_1", "c.1", "GL000194.1", "d.1", "scaffold00012"]})
    peaks = pd.DataFrame(
        {"chromosome": ["1", "c-1", "GL000194.2", "d-1", "d_1", "chr1_scaffold00012", "chr2_scaffold00012"]}
    )
    assert list(harmonise_chromosomes(genes, peaks)[0].chromosome) == list(genes.chromosome)


def test_chromosomes_without_a_partner_are_renamed_too_and_reported():
    peaks = pd.DataFrame({"chromosome": ["chr1", "chr1", "chr1", "chrUn_x"]})
    original = pd.DataFrame({"chromosome": ["1", "2", "MT", "weird"]})
    genes, report = harmonise_chromosomes(original, peaks)
    assert list(genes.chromosome) == ["chr1", "chr2", "chrM", "weird"]
    assert list(original.chromosome) == ["1", "2", "MT", "weird"]
    assert report.to_numpy().tolist() == [
        ["peaks on annotated chromosomes", 4, 3, 0.75],
        ["genes on chromosomes with peaks", 4, 1, 0.25],
        ["chromosomes of peaks in the annotation", 2, 1, 0.5],
    ]


def test_no_common_chromosome_shows_both_sides():
    with pytest.raises(
        InputError, match=r"no chromosome in common: peaks lie on 2L, 2R; genes on chr1, chr2"
    ):
        harmonise_chromosomes(
            pd.DataFrame({"chromosome": ["chr1", "chr2"]}), pd.DataFrame({"chromosome": ["2L", "2R"]})
        )


def test_peaks_in_two_dialects_are_refused():
    with pytest.raises(InputError, match="two ways, 'chr1' and '1'"):
        harmonise_chromosomes(
            pd.DataFrame({"chromosome": ["chr1"]}), pd.DataFrame({"chromosome": ["chr1", "1"]})
        )


# --- assemblies ------------------------------------------------------------------------------------


def test_sizes_are_those_of_whole_genomes():
    # Lengths of the assembled chromosomes without M, from the assembly reports.
    sums = {name: sum(sizes.values()) - sizes["M"] for name, sizes in CHROMOSOME_SIZES.items()}
    assert sums == {"hg19": 3095677412, "hg38": 3088269832, "mm10": 2725521370, "mm39": 2723414844}
    assert CHROMOSOME_SIZES["hg38"]["X"] == 156040895 and CHROMOSOME_SIZES["mm10"]["19"] == 61431566


def test_assembly_synonyms_agree():
    assert [assembly_name(n) for n in ("GRCh38.p14", "hg19", "GRCm38", "mm39", "danRer11")] == [
        "hg38", "hg19", "mm10", "mm39", "danRer11",
    ]  # fmt: skip
    assert agree_on_assembly({"rna": "GRCh38", "atac": "hg38", "genes": None, "config": ""}) == "hg38"
    assert agree_on_assembly({"rna": None}) is None


def test_disagreeing_assemblies_are_refused():
    with pytest.raises(
        InputError, match=r"different assemblies: rna.h5ad says 'GRCh38', atac.h5ad says 'mm10'"
    ):
        agree_on_assembly({"rna.h5ad": "GRCh38", "atac.h5ad": "mm10"})


@pytest.mark.parametrize("name", ["chr1", "1"])
def test_a_peak_beyond_the_end_of_its_chromosome_is_refused(name):
    genes = gene_table(("G", name, 1000, 2000, "+"))
    inside = table((name, 195_471_000, 195_471_971))
    assert check_assembly(inside, genes, "mm10") == []
    assert check_assembly(inside, genes, "GRCh38") == []
    with pytest.raises(InputError, match=r"1 of 1 peaks lie beyond .* in mm39 .*195471000.* size 195154279"):
        check_assembly(inside, genes, "mm39")
    with pytest.raises(InputError, match="1 of 1 genes lie beyond"):
        check_assembly(table((name, 10, 20)), gene_table(("G", name, 240_000_000, 240_001_000, "+")), "mm10")


def test_chromosomes_that_the_assembly_does_not_list_are_not_judged():
    assert (
        check_assembly(table(("chrUn_x", 10**9, 10**9 + 5)), gene_table(("G", "chr1", 1, 5, "+")), "hg38")
        == []
    )


def test_an_unknown_assembly_is_told():
    with pytest.raises(
        InputError, match=r"'hg37' is not known; known: hg19, hg38, mm10, mm39.*Did you mean 'hg3"
    ):
        check_assembly(table(("chr1", 1, 2)), gene_table(("G", "chr1", 1, 5, "+")), "hg37")


def whole_genome(rng, n_genes=12_000, size=100_000_000):
    start = np.sort(rng.integers(0, size, n_genes))
    rows = {
        "gene": [f"G{i}" for i in range(n_genes)],
        "chromosome": "chr1",
        "start": start,
        "end": start + 3000,
    }
    return pd.DataFrame(rows).assign(strand="+", tss=start)


def peaks_at(start):
    return pd.DataFrame({"chromosome": "chr1", "start": start, "end": np.asarray(start) + 400})


def test_peaks_far_beyond_the_last_gene_give_another_species_away():
    rng = np.random.default_rng(0)
    genes = whole_genome(rng)
    peaks = peaks_at(np.concatenate([genes.tss.to_numpy(), 110_000_000 + 1000 * np.arange(200)]))
    with pytest.raises(InputError, match=r"200 of 12200 peaks lie more than 5 Mb beyond the last gene"):
        check_assembly(peaks, genes)
    assert check_assembly(peaks, genes[:5000]) == []  # a subset of genes proves nothing


def test_missing_enrichment_at_gene_starts_is_a_warning():
    rng = np.random.default_rng(1)
    genes = whole_genome(rng)
    at_promoters = peaks_at(rng.choice(genes.tss.to_numpy(), 5000, replace=False))
    assert check_assembly(at_promoters, genes) == []
    (warning,) = check_assembly(peaks_at(np.unique(rng.integers(0, 10**8, 5000))), genes)
    assert "of 12000 gene starts have a peak within 2,000 bp, hardly more than by chance" in warning


def test_small_and_tiled_data_are_not_warned_about():
    rng = np.random.default_rng(2)
    genes = whole_genome(rng)
    assert check_assembly(peaks_at(np.unique(rng.integers(0, 10**8, 30))), genes) == []
    tiles = peaks_at(np.arange(0, 50_000_000, 400))
    assert check_assembly(tiles, genes) == []


@pytest.mark.real_data
def test_assemblies_of_real_peaks():
    data = Path(__file__).parents[4] / "shared" / "data"
    if not (data / "mouse_cortex.h5mu").exists():
        pytest.skip(f"{data} is absent")
    with h5py.File(data / "mouse_cortex.h5mu") as file:
        peaks = parse_peaks(read_elem(file["mod/atac/var"]).index)
    mouse, human = (read_genes(data / f"genes.{assembly}.bed.gz") for assembly in ("mm10", "hg38"))
    assert check_assembly(peaks, mouse) == check_assembly(peaks, mouse, "mm10") == []
    assert len(check_assembly(peaks, mouse.assign(tss=mouse.tss + 30_000))) == 1
    for genes, assembly in [(human, None), (mouse, "hg38"), (mouse, "mm39"), (human, "mm10")]:
        with pytest.raises(InputError, match=r"lie (beyond|more than 5 Mb beyond)"):
            check_assembly(peaks, genes, assembly)


# --- distances and windows -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strand", "expected"),
    [
        # TSS at 1000 ("+", ".") or at 1999 ("-"); peaks as [start, end)
        ("+", [0, 0, -1, 1, -900, 1000]),
        (".", [0, 0, -1, 1, -900, 1000]),
        ("-", [999, 999, 1000, 989, 1899, -1]),
    ],
)
def test_literal_distances(strand, expected):
    gene = gene_table(("G", "chr1", 1000, 2000, strand)).iloc[0]
    peaks = table(
        ("chr1", 1000, 1001), ("chr1", 990, 1001), ("chr1", 990, 1000), ("chr1", 1001, 1011),
        ("chr1", 50, 101), ("chr1", 2000, 2100), ("chr2", 1000, 1001),
    )  # fmt: skip
    np.testing.assert_array_equal(distance_to_tss(peaks, gene), [*expected, np.nan])


def test_a_gene_without_tss_has_no_distances_and_no_window():
    genes = gene_table(("G", "chr1", 1000, 2000, "+")).assign(tss=np.nan)
    peaks = table(("chr1", 1000, 1001))
    assert np.isnan(distance_to_tss(peaks, genes.iloc[0])).all()
    assert link_windows(peaks, genes).empty


intervals = st.tuples(st.sampled_from(["chr1", "chr2", "chr3"]), st.integers(0, 120), st.integers(1, 30))
strands = st.sampled_from(["+", "-", "."])


@settings(max_examples=60, deadline=None)
@given(
    peaks=st.lists(intervals, max_size=12, unique=True),
    genes=st.lists(st.tuples(intervals, strands), max_size=6),
    window_bp=st.integers(0, 60),
    upstream=st.integers(0, 20),
    downstream=st.integers(0, 20),
)
def test_windows_equal_brute_force(peaks, genes, window_bp, upstream, downstream):
    peaks = table(*((c, s, s + w) for c, s, w in peaks))
    genes = gene_table(*((f"G{i}", c, s, s + w, strand) for i, ((c, s, w), strand) in enumerate(genes)))
    expected = []
    for _, gene in genes.iterrows():
        sign = -1 if gene.strand == "-" else 1
        for _, peak in peaks.sort_values(["start", "end"], kind="stable").iterrows():
            if peak.chromosome != gene.chromosome:
                continue
            offsets = [sign * (base - gene.tss) for base in range(peak.start, peak.end)]
            nearest = min(offsets, key=abs)
            if abs(nearest) <= window_bp:
                is_promoter = any(-upstream <= offset <= downstream for offset in offsets)
                name = f"{peak.chromosome}:{peak.start}-{peak.end}"
                expected.append([name, *peak, gene.gene, nearest, is_promoter])
    windows = link_windows(peaks, genes, window_bp, upstream, downstream)
    assert list(windows.columns) == WINDOW_COLUMNS
    assert windows.to_numpy().tolist() == expected


def test_windows_keep_the_order_of_genes_and_reach_beyond_two_billion():
    far = 2**31 + 1000
    peaks = table(("chr1", far, far + 10), ("chr2", 500_000, 500_010), ("chr2", 499_990, 500_000))
    genes = gene_table(
        ("B", "chr2", 0, 10, "+"), ("none", "chr9", 0, 10, "+"), ("A", "chr1", far - 5, far - 1, "-")
    )  # fmt: skip
    windows = link_windows(peaks, genes)
    assert windows[["gene", "start", "distance_to_tss_bp"]].to_numpy().tolist() == [
        ["B", 499_990, 499_990], ["B", 500_000, 500_000], ["A", far, -2],
    ]  # fmt: skip


def test_nothing_joined_is_an_empty_table_with_all_columns():
    for peaks, genes in [
        (table(("chr1", 1, 2)), gene_table(("G", "chr2", 1, 5, "+"))),
        (table(), gene_table(("G", "chr2", 1, 5, "+"))),
        (table(("chr1", 1, 2)), gene_table()),
    ]:
        windows = link_windows(peaks, genes)
        assert windows.empty and list(windows.columns) == WINDOW_COLUMNS


def test_members_are_located():
    gene = gene_table(("G", "chr1", 20_000_000, 20_050_000, "-")).iloc[0]  # TSS at 20,049,999
    members = table(
        ("chr1", 20_000_400, 20_000_900),  # in the gene body
        ("chr1", 20_150_000, 20_150_500),
        ("chr1", 5_000_000, 5_000_500),
        ("chr2", 20_000_400, 20_000_900),
    )
    assert locate(members, gene) == {
        "hit": True, "soft_hit": True, "n_same_chromosome": 3, "share_same_chromosome": 0.75,
        "n_in_window": 2, "closest_bp": 49_100.0,
    }  # fmt: skip
    far = locate(members.iloc[2:3], gene)
    assert (far["hit"], far["soft_hit"], far["closest_bp"]) == (False, False, 15_049_500.0)
    near = locate(table(("chr1", 12_000_000, 12_000_500)), gene)
    assert (near["hit"], near["soft_hit"], near["n_in_window"]) == (False, True, 0)
    other = locate(members.iloc[3:], gene)
    assert (other["hit"], other["soft_hit"], other["n_same_chromosome"]) == (False, False, 0)
    assert np.isnan(other["closest_bp"])
