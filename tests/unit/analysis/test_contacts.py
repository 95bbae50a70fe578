"""Contact maps and TADs: what is read is what was written; enrichment is found where planted and only there."""

import gzip
import logging
from pathlib import Path

import cooler
import numpy as np
import pandas as pd
import pytest
import yaml
from contact_maps import (
    RESOLUTION_BP,
    SIZES,
    bins_of,
    dense_counts,
    gene_at,
    peaks_at,
    set_of,
    write_cool,
    write_mcool,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from grids.analysis.contacts.contact_map import contacts_of_bins, contacts_of_region, open_contact_map
from grids.analysis.contacts.matching import compare, distance_strata
from grids.analysis.contacts.measurement import (
    CONTACT_COLUMNS,
    CONTACT_MEMBER_COLUMNS,
    CONTACT_SUMMARY_COLUMNS,
    MASKED,
    OTHER_CHROMOSOME,
    SAME_BIN,
    measure_contacts,
)
from grids.analysis.contacts.tads import read_tads, tad_of
from grids.io.config import check
from grids.io.config_files import check_files
from grids.io.errors import InputError
from grids.io.tables import write

SCHEMA = yaml.safe_load((Path(__file__).parents[3] / "workflow/schemas/config.schema.yaml").read_text())
N_BINS = 200
TSS = 1_000_000
PEAKS = pd.concat(
    [peaks_at("chr1", np.arange(N_BINS) * RESOLUTION_BP + 3_000), peaks_at("chr2", [5_000, 400_000])],
    ignore_index=True,
)


@pytest.fixture
def told(caplog):
    logger = logging.getLogger("grids")
    logger.propagate, before = True, logger.propagate
    caplog.set_level(logging.INFO, logger="grids")
    yield lambda: caplog.text
    logger.propagate = before


def balanced_weight(seed=5):
    """Weights of all bins, three of chr1 masked."""
    weight = np.random.default_rng(seed).uniform(0.5, 2, len(bins_of()))
    weight[[7, 120, 199]] = np.nan
    return weight


@pytest.fixture(scope="module")
def counts():
    return dense_counts()


@pytest.fixture(scope="module", params=["raw", "balanced"])
def both(request, counts, tmp_path_factory):
    """A map, and what every one of chr1's contacts should be."""
    weight = balanced_weight() if request.param == "balanced" else None
    path = write_cool(tmp_path_factory.mktemp("cool") / "map.cool", counts, weight=weight)
    dense = counts["chr1"].astype(float)
    if weight is not None:
        dense = dense * np.outer(weight[:N_BINS], weight[:N_BINS])
    return open_contact_map(path, PEAKS), dense


# --- reading ---------------------------------------------------------------------------------------


def mean_by_distance(dense):
    return np.array([np.nanmean(np.diagonal(dense, d)) for d in range(len(dense))])


@pytest.mark.parametrize("pixels_per_chunk", [97, 10**6])
def test_contacts_and_expectation_are_those_of_the_dense_matrix(both, pixels_per_chunk, monkeypatch):
    monkeypatch.setattr("grids.analysis.contacts.contact_map.PIXELS_PER_CHUNK", pixels_per_chunk)
    contacts, dense = both
    bins = np.array([100, 3, 120])
    found = contacts_of_bins(contacts, "chr1", bins)
    assert_allclose(found.observed.toarray(), np.nan_to_num(dense[bins]))
    masked = np.isnan(dense).all(axis=1)
    assert_array_equal(found.usable, ~masked)
    with pytest.warns(RuntimeWarning) if masked.any() else pytest.MonkeyPatch.context():
        assert_allclose(found.expected, mean_by_distance(dense))


def test_bins_without_a_raw_contact_do_not_count(counts, tmp_path):
    holes = counts["chr1"].copy()
    holes[50:60] = holes[:, 50:60] = 0
    contacts = open_contact_map(write_cool(tmp_path / "a.cool", counts | {"chr1": holes}), PEAKS)
    found = contacts_of_bins(contacts, "chr1", np.array([100]))
    assert_array_equal(np.flatnonzero(~found.usable), np.arange(50, 60))
    dense = holes.astype(float)
    dense[50:60] = dense[:, 50:60] = np.nan
    assert_allclose(found.expected, mean_by_distance(dense))


def test_a_region_is_the_dense_matrix_cut_out(both):
    contacts, dense = both
    matrix, edges = contacts_of_region(contacts, "chr1", 904_000, 1_031_000, max_bins=100)
    assert_allclose(matrix, dense[90:104, 90:104])
    assert_array_equal(edges, np.arange(90, 105) * RESOLUTION_BP)


@pytest.mark.parametrize("cells_per_strip", [1, 2_000, 10**6])
def test_a_wide_region_is_averaged(both, cells_per_strip, monkeypatch):
    monkeypatch.setattr("grids.analysis.contacts.contact_map.CELLS_PER_STRIP", cells_per_strip)
    contacts, dense = both
    matrix, edges = contacts_of_region(contacts, "chr1", 0, 10**9, max_bins=60)  # 200 bins, 4 joined
    assert_array_equal(edges, np.arange(0, 2_000_001, 40_000))
    expected = np.nanmean(dense.reshape(50, 4, 50, 4), axis=(1, 3))
    assert_allclose(matrix, expected)


def test_the_last_bin_may_be_shorter(both, counts):
    contacts, _ = both
    matrix, edges = contacts_of_region(contacts, "chr2", 700_000, 900_000, max_bins=4)
    assert edges.tolist() == [700_000, 730_000, 760_000, 790_000, 805_000]
    assert matrix.shape == (4, 4) and np.isfinite(matrix).all()
    if not contacts.is_balanced:
        assert_allclose(matrix[3, 3], counts["chr2"][79:, 79:].mean())


def test_only_a_map_without_weights_is_raw_and_says_so(counts, tmp_path, told):
    raw = open_contact_map(write_cool(tmp_path / "a.cool", counts), PEAKS)
    assert not raw.is_balanced and "raw counts are used; run `cooler balance`" in told()
    balanced = open_contact_map(write_cool(tmp_path / "b.cool", counts, weight=balanced_weight()), PEAKS)
    assert balanced.is_balanced and told().count("raw counts are used") == 1


def test_chromosomes_are_named_as_in_the_peaks(both):
    contacts, dense = both
    bare = PEAKS.assign(chromosome=PEAKS["chromosome"].str.removeprefix("chr"))
    renamed = open_contact_map(contacts.cooler.filename, bare)
    assert renamed.name_of == {"1": "chr1", "2": "chr2"}
    assert_allclose(contacts_of_region(renamed, "1", 0, 50_000, 10)[0], dense[:5, :5])


def test_resolutions_of_an_mcool(counts, tmp_path):
    path = write_mcool(
        tmp_path / "a.mcool", write_cool(tmp_path / "a.cool", counts), [10_000, 20_000, 50_000]
    )
    assert open_contact_map(path, PEAKS).resolution_bp == 10_000
    coarse = open_contact_map(path, PEAKS, resolution_bp=50_000)
    assert coarse.resolution_bp == 50_000
    (row,) = contacts_of_bins(coarse, "chr1", np.array([2])).observed.toarray()
    sums = np.triu(counts["chr1"]).reshape(40, 5, 40, 5).sum(axis=(1, 3))
    assert_allclose(row, np.maximum(sums, sums.T)[2])
    with pytest.raises(InputError, match=r"resolution_bp 5000 is not among .* it has: 10000, 20000, 50000$"):
        open_contact_map(path, PEAKS, resolution_bp=5_000)
    fine = write_cool(tmp_path / "b.cool", {}, resolution_bp=1_000)
    closest = write_mcool(tmp_path / "b.mcool", fine, [1_000, 8_000, 50_000])
    assert open_contact_map(closest, PEAKS).resolution_bp == 8_000
    with pytest.raises(InputError, match="resolution_bp 20000 is not among its resolutions; it has: 10000"):
        open_contact_map(tmp_path / "a.cool", PEAKS, resolution_bp=20_000)


def refusal(path, peaks=PEAKS, **options):
    with pytest.raises(InputError) as error:
        open_contact_map(path, peaks, **options)
    assert str(error.value).startswith("contacts.map (") and "\n" not in str(error.value)
    return str(error.value)


def test_what_is_no_map_is_refused(tmp_path, counts):
    text, cut, cells = tmp_path / "a.hic", tmp_path / "b.cool", tmp_path / "c.scool"
    assert "file not found" in refusal(text)
    text.write_text("HIC")
    assert "this is no contact map; expected a .cool or .mcool" in refusal(text)
    cut.write_bytes(write_cool(tmp_path / "whole.cool", counts).read_bytes()[:3_000])
    assert "cannot be read" in refusal(cut)
    cooler.create_scool(
        str(cells), bins_of(), {"cell": pd.DataFrame({"bin1_id": [0], "bin2_id": [1], "count": [1]})}
    )
    assert "this is no contact map" in refusal(cells)
    uneven = pd.DataFrame({"chrom": "chr1", "start": [0, 70, 95], "end": [70, 95, 300]})
    pixels = pd.DataFrame({"bin1_id": [0], "bin2_id": [1], "count": [1]})
    cooler.create_cooler(str(tmp_path / "d.cool"), uneven, pixels)
    assert "its bins differ in size" in refusal(tmp_path / "d.cool", peaks_at("chr1", [200], 20))


def test_a_map_of_another_genome_is_refused(counts, tmp_path):
    path = write_cool(tmp_path / "a.cool", counts)
    told = refusal(path, peaks_at("chrIV", [5_000]))
    assert "no chromosome in common with the peaks: the map has chr1, chr2, peaks lie on chrIV" in told
    told = refusal(path, peaks_at("chr2", [400_000, 804_900]))
    assert "1 of 2 peaks lie beyond the end of their chromosome in the map (e.g. chr2:804700-805100" in told
    assert "its chr1 has 2,000,000 bp, but that of hg38 has 248,956,422 bp" in refusal(path, assembly="hg38")
    said = write_cool(tmp_path / "b.cool", counts, assembly="GRCm38")
    assert "input.assembly says 'hg38'" in message_of_assembly(said)
    elsewhere = peaks_at("chr3", [10**8])
    assert open_contact_map(path, pd.concat([PEAKS, elsewhere])).name_of == {"chr1": "chr1", "chr2": "chr2"}


def message_of_assembly(path):
    with pytest.raises(InputError, match="different assemblies") as error:
        open_contact_map(path, PEAKS, assembly="hg38")
    return str(error.value)


@pytest.mark.parametrize(
    ("contacts", "message"),
    [
        ({"map": "https://a.org/b.mcool"}, "contacts.map: 'https://a.org/b.mcool' is a URL; download it and give"),
        ({"tads": "ftp://a.org/b.bed"}, "contacts.tads: 'ftp://a.org/b.bed' is a URL"),
        ({"map": "a.mcool::/resolutions/10000"}, "names a part of a file; give the path of the .mcool, and"),
        ({"resolution_bp": 5_000, "tads": "a.bed"}, "contacts.resolution_bp is given without contacts.map"),
        ({"resolution_bp": 0, "map": "a.cool"}, "contacts.resolution_bp: 0 is not allowed; expected a whole number"),
        ({"maps": "a.cool"}, "unknown key 'maps' in 'contacts'. Did you mean 'map'?"),
    ],
)  # fmt: skip
def test_bad_settings_are_one_clear_line(contacts, message):
    study = {"input": {"multiome": "a.h5mu", "genes": "a.bed"}, "tasks": {"A": ["x"]}, "contacts": contacts}
    with pytest.raises(InputError) as error:
        check(study, SCHEMA, "study.yaml")
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("key", ["map", "tads"])
def test_missing_files_are_named(key):
    with pytest.raises(InputError, match=f"study.yaml: contacts.{key}: there is no file 'absent.x'"):
        check_files({"contacts": {key: "absent.x"}}, SCHEMA, "study.yaml")


# --- TADs ------------------------------------------------------------------------------------------

GENES = gene_at("G", "chr1", TSS)


def test_tads_without_coordinates_are_counted(tmp_path, told):
    (tmp_path / "tads.bed").write_text("chr1\t0\t500000\nchr1\t.\t.\nchr2 \t 5\t9\r\n")
    assert len(read_tads(tmp_path / "tads.bed", PEAKS, GENES)) == 2
    assert "1 rows have no coordinates and are left out" in told()


def test_tads_in_the_dialect_of_the_peaks(tmp_path):
    path = tmp_path / "tads.bed.gz"
    path.write_bytes(
        gzip.compress(
            b"track name=x\n#chrom\tstart\tend\n1\t0\t500000\ta\n1\t1e5\t200000\n2\t5\t9\n1\t0\t500000"
        )
    )
    tads = read_tads(path, PEAKS, GENES)
    assert tads.to_numpy().tolist() == [["chr1", 0, 500_000], ["chr1", 100_000, 200_000], ["chr2", 5, 9]]
    assert tad_of(tads, "chr1", 150_000) == (100_000, 200_000)  # the smallest
    assert tad_of(tads, "chr1", 200_000) == (0, 500_000)  # half-open
    assert tad_of(tads, "chr1", 500_000) is None and tad_of(tads, "chr2", 5) == (5, 9)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("chr1\t5", "line 1: 2 columns; a BED file of TADs has at least 3: chromosome, start, end"),
        ("chr1\tx\t9", "line 1: start is 'x'; expected a whole number"),
        ("chrom\tstart\tend\nchr1\t9\t5", "line 2: chr1:9-5 is no interval; expected 0 <= start < end"),
        ("chr1\t-1\t5", "line 1: chr1:-1-5 is no interval"),
        ("chrom\tstart\tend", "there is no TAD in it"),
        ("chrIV\t1\t5", "no chromosome in common with the peaks: TADs lie on chrIV, peaks on chr1, chr2"),
        ("chr1\t1\t5\nchr2\t300000000\t300000500", "1 of 2 TADs lie beyond the end of their chromosome in hg38"),
    ],
)  # fmt: skip
def test_bad_tads_are_refused_in_one_line(tmp_path, lines, message):
    path = tmp_path / "tads.bed"
    path.write_text(lines)
    with pytest.raises(InputError) as error:
        read_tads(path, PEAKS, GENES, assembly="hg38")
    assert message in str(error.value) and str(error.value).startswith("contacts.tads (")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="file not found"):
        read_tads(tmp_path / "none.bed", PEAKS, GENES)


# --- matching --------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 3_000), max_size=120))
def test_strata_hold_neighbours_in_distance(distances):
    distance = np.array(distances, dtype=int)
    strata = distance_strata(distance)
    assert (np.diff(strata[np.argsort(distance, kind="stable")]) >= 0).all()
    groups = [distance[strata == stratum] for stratum in range(strata.max(initial=-1) + 1)]
    for i, group in enumerate(groups):
        assert group.max() <= 2 * group.min()
        assert (group < group.max()).sum() < 20  # no larger than 20 but for ties
        if i + 1 < len(groups):
            following = groups[i + 1].min()
            assert group.max() < following
            assert len(group) >= 20 or following > 2 * group.min()  # no smaller than need be


def test_comparison_by_hand():
    value = np.array([4.0, 1, 2, 3, 0, 9, 5])
    strata = np.array([0, 0, 0, 1, 1, 1, 2])
    found = compare(value, np.array([0, 5, 6]), strata, np.random.default_rng(0), 20_000)
    # the member that is alone in its stratum is left out
    assert (found.members, found.matched, found.n_members) == (6.5, 1.5, 2)
    assert_array_equal(found.n_matched, [2, 2, 0])
    assert_allclose(found.matched_of_member, [1.5, 1.5, np.nan])
    assert abs(found.p_value - 1 / 9) < 0.01  # of nine permutations the best
    assert (found.matched_low, found.matched_high) == (0.5, 6.5)
    alone = compare(value, np.array([6]), strata, np.random.default_rng(0), 100)
    assert np.isnan(alone.p_value) and alone.n_members == 0


@pytest.mark.parametrize("n_items", [12, 120, 3_000])
def test_p_values_of_random_members_are_uniform(n_items):
    rng = np.random.default_rng(1)
    p = []
    for _ in range(500):
        strata = distance_strata(rng.integers(1, 400, n_items))
        members = rng.choice(n_items, 6, replace=False)
        p.append(compare(rng.exponential(size=n_items), members, strata, rng, 200).p_value)
    assert 0.03 < np.mean(np.array(p) <= 0.05) < 0.07
    assert 0.45 < np.mean(np.array(p) <= 0.5) < 0.55


# --- enrichment ------------------------------------------------------------------------------------


def planted(folder, bins, factor=5, weight=None, seed=0):
    """A map in which the given bins of chr1 contact the TSS `factor` times as often as others."""
    counts = dense_counts(seed=seed)
    tss_bin = TSS // RESOLUTION_BP
    for bin_ in bins:
        counts["chr1"][bin_, tss_bin] *= factor
        counts["chr1"][tss_bin, bin_] *= factor
    return open_contact_map(write_cool(folder / "map.cool", counts, weight=weight), PEAKS), counts["chr1"]


MEMBER_BINS = [80, 92, 97, 108, 130]


def test_planted_contacts_are_found(tmp_path):
    contacts, dense = planted(tmp_path, MEMBER_BINS)
    tasks, members, summary = measure_contacts(set_of("G", PEAKS.iloc[MEMBER_BINS]), GENES, PEAKS, contacts)
    expected = mean_by_distance(dense)[np.abs(np.array(MEMBER_BINS) - 100)]
    observed = dense[MEMBER_BINS, 100]
    assert_allclose(members["contact"], observed)
    assert_allclose(members["expected_contact"], expected)
    assert_allclose(members["observed_over_expected"], observed / expected)
    row = tasks.iloc[0]
    assert (
        row["n_measured"] == row["n_bins"] == 5
        and row["p_value"] < 0.005
        and row["q_value"] == row["p_value"]
    )
    assert_allclose(row["contact"], observed.mean())
    assert_allclose(row["observed_over_expected"], (observed / expected).mean())
    assert_allclose(row["enrichment"], row["observed_over_expected"] / row["matched_observed_over_expected"])
    assert 4 < row["enrichment"] < 6 and row["matched_high"] < row["observed_over_expected"]
    assert summary["measure"].tolist() == ["observed_over_expected"]
    assert_allclose(summary["enrichment"], row["enrichment"])
    assert (
        summary[["enrichment_low", "enrichment_high"]].isna().all(axis=None)
    )  # one gene cannot be resampled
    assert tasks[["share_in_tad", "tad_p_value"]].isna().all(axis=None)


def test_matched_values_are_those_of_bins_with_other_peaks(tmp_path):
    contacts, dense = planted(tmp_path, [])
    _, members, _ = measure_contacts(set_of("G", PEAKS.iloc[[105, 108, 109]]), GENES, PEAKS, contacts)
    distance = np.abs(np.arange(N_BINS) - 100)
    ratio = dense[100] / mean_by_distance(dense)[distance]
    # strata end at twice their first distance: 1 to 2, 3 to 6, 7 to 14
    for row, near, far in ((0, 3, 6), (1, 7, 14), (2, 7, 14)):
        others = [i for i in range(N_BINS) if near <= distance[i] <= far and i not in (105, 108, 109)]
        assert members.loc[row, "n_matched"] == len(others)
        assert_allclose(members.loc[row, "matched_observed_over_expected"], ratio[others].mean())


def test_balancing_removes_the_bias_of_well_seen_bins(tmp_path):
    # member bins are sequenced five times as deep: raw contacts are enriched, balanced ones are not
    deep = np.ones(len(bins_of()))
    deep[MEMBER_BINS] = 5
    counts = dense_counts()
    counts["chr1"] = (counts["chr1"] * np.outer(deep[:N_BINS], deep[:N_BINS])).astype(int)
    ratio = {}
    for name, weight in (("raw", None), ("balanced", 1 / deep)):
        contacts = open_contact_map(write_cool(tmp_path / f"{name}.cool", counts, weight=weight), PEAKS)
        tasks, _, _ = measure_contacts(set_of("G", PEAKS.iloc[MEMBER_BINS]), GENES, PEAKS, contacts)
        ratio[name] = tasks["enrichment"].iloc[0]
    assert ratio["raw"] > 3.5 and 0.9 < ratio["balanced"] < 1.1


def test_members_that_cannot_be_measured_are_named(tmp_path):
    weight = balanced_weight()
    contacts, _ = planted(tmp_path, [], weight=weight)
    extra = peaks_at("chr1", [TSS + 500, 1_100_500])  # in the bin of the TSS; beside the member of bin 110
    peaks = pd.concat([PEAKS, extra], ignore_index=True)
    chosen = peaks.iloc[[110, 100, 120, N_BINS, len(PEAKS), len(PEAKS) + 1]]
    tasks, members, _ = measure_contacts(set_of("G", chosen), GENES, peaks, contacts)
    assert members["not_measured"].fillna("").tolist() == [
        "",
        SAME_BIN,
        MASKED,
        OTHER_CHROMOSOME,
        SAME_BIN,
        "",
    ]
    assert members.loc[1:4, "observed_over_expected"].isna().all()
    row = tasks.iloc[0]
    counted = row[["n_measured", "n_bins", "n_same_bin", "n_other_chromosome", "n_not_usable"]]
    assert counted.tolist() == [2, 1, 2, 1, 1]  # two members in one bin are one measurement
    assert_allclose(members.loc[0, "contact"], members.loc[5, "contact"])


@pytest.mark.parametrize("gene", ["in a masked bin", "on no chromosome of the map", "without position"])
def test_genes_that_cannot_be_measured_stay_in_the_tables(tmp_path, gene):
    contacts, _ = planted(tmp_path, [], weight=balanced_weight())
    peaks = pd.concat([PEAKS, peaks_at("chrX", [5_000, 90_000])], ignore_index=True)
    genes = {
        "in a masked bin": gene_at("G", "chr1", 1_205_000),
        "on no chromosome of the map": gene_at("G", "chrX", 50_000),
        "without position": gene_at("G", "chr1", 5).assign(tss=np.nan),
    }[gene]
    sets = set_of("G", peaks.iloc[[110, 111] if genes["chromosome"].iloc[0] == "chr1" else [202, 203]])
    tasks, members, summary = measure_contacts(sets, genes, peaks, contacts)
    assert len(tasks) == 1 and len(members) == 2 and summary.empty
    reason = {
        "in a masked bin": MASKED,
        "on no chromosome of the map": "the map has no chrX",
        "without position": "the gene has no position",
    }
    assert members["not_measured"].tolist() == [reason[gene]] * 2
    assert tasks[["enrichment", "p_value", "q_value"]].isna().all(axis=None)


def test_random_members_are_not_enriched(tmp_path):
    contacts, _ = planted(tmp_path, [])
    rng = np.random.default_rng(3)
    genes = pd.concat([gene_at(f"G{i}", "chr1", int(rng.integers(300_000, 1_700_000))) for i in range(60)])
    near = [
        np.flatnonzero((PEAKS["chromosome"] == "chr1") & ((PEAKS["start"] - t).abs() < 400_000))
        for t in genes["tss"]
    ]
    sets = pd.concat(
        [
            set_of(g, PEAKS.iloc[rng.choice(own, 6, replace=False)])
            for g, own in zip(genes["gene"], near, strict=True)
        ]
    )
    tasks, _, summary = measure_contacts(sets, genes, PEAKS, contacts)
    assert (tasks["p_value"] <= 0.05).sum() <= 8 and tasks["q_value"].min() > 0.05
    assert abs(summary["enrichment"].iloc[0] - 1) < 0.02
    assert summary["enrichment_low"].iloc[0] < 1 < summary["enrichment_high"].iloc[0]
    assert summary[["n_tasks", "n_genes"]].to_numpy().tolist() == [[60, 60]]


TADS = pd.DataFrame({"chromosome": "chr1", "start": [950_000, 0], "end": [1_300_000, 2_000_000]})


def test_shares_in_the_tad_are_held_against_peaks_at_the_same_distance(tmp_path):
    inside = [105, 110, 115, 120, 125]  # the TAD reaches 300 kb to the right and 50 kb to the left
    tasks, members, summary = measure_contacts(
        set_of("G", PEAKS.iloc[[*inside, N_BINS]]), GENES, PEAKS, tads=TADS
    )
    row = tasks.iloc[0]
    assert row[["tad_start", "tad_end", "n_tad_compared"]].tolist() == [950_000, 1_300_000, 5]
    assert row["share_in_tad"] == 1 and 0.3 < row["matched_share_in_tad"] < 0.6 and row["tad_p_value"] < 0.05
    assert members["in_tad"].tolist() == [True] * 5 + [False]
    assert members["not_measured"].unique().tolist() == ["no contact map"]
    assert summary["measure"].tolist() == ["share_in_tad"]
    assert_allclose(summary["enrichment"], 1 / row["matched_share_in_tad"])
    outside, _, _ = measure_contacts(set_of("G", PEAKS.iloc[[75, 80, 85]]), GENES, PEAKS, tads=TADS)
    assert outside["share_in_tad"].iloc[0] == 0 and outside["tad_p_value"].iloc[0] == 1


def test_a_tss_outside_of_all_tads_has_no_share():
    tasks, members, summary = measure_contacts(
        set_of("G", PEAKS.iloc[[105]]), GENES, PEAKS, tads=TADS.assign(end=960_000)
    )
    assert tasks[["tad_start", "share_in_tad"]].isna().all(axis=None) and tasks["n_tad_compared"].iloc[0] == 0
    assert members["in_tad"].isna().all() and summary.empty


def test_intervals_resample_genes_and_not_cell_types(tmp_path):
    contacts, _ = planted(tmp_path, [110, 125])
    genes = pd.concat([GENES, gene_at("H", "chr1", 1_500_000)])
    two = pd.concat([set_of("G", PEAKS.iloc[[110, 125]]), set_of("H", PEAKS.iloc[[160, 170]])])
    more = pd.concat([two.assign(cell_type=name) for name in ("Astro", "Oligo", "Micro")])
    _, _, once = measure_contacts(two, genes, PEAKS, contacts, seed=2)
    tasks, _, thrice = measure_contacts(more, genes, PEAKS, contacts, seed=2)
    assert len(tasks) == 6 and thrice[["n_tasks", "n_genes"]].to_numpy().tolist() == [[6, 2]]
    for column in ("enrichment", "enrichment_low", "enrichment_high"):
        assert_allclose(thrice[column], once[column])


def test_tables_have_their_columns_and_follow_the_seed(tmp_path):
    contacts, _ = planted(tmp_path, [110])
    sets = pd.concat(
        [set_of("G", PEAKS.iloc[[110, 125, 130]]), set_of("G", PEAKS.iloc[[90, 80, 60]], "Oligo")]
    )
    columns = [CONTACT_COLUMNS, CONTACT_MEMBER_COLUMNS, CONTACT_SUMMARY_COLUMNS]
    written = []
    for seed in (1, 1, 2):
        tables = measure_contacts(sets, GENES, PEAKS, contacts, TADS, seed=seed)
        assert [list(table.columns) for table in tables] == columns
        for i, table in enumerate(tables):
            write(table, tmp_path / f"{i}.tsv")
        written.append([(tmp_path / f"{i}.tsv").read_bytes() for i in range(3)])
    assert written[0] == written[1] != written[2]
    alone, _, _ = measure_contacts(sets[sets["cell_type"] == "Oligo"], GENES, PEAKS, contacts, TADS, seed=1)
    both, _, _ = measure_contacts(sets, GENES, PEAKS, contacts, TADS, seed=1)
    assert alone["p_value"].iloc[0] == both["p_value"].iloc[1]
    empty = measure_contacts(sets.iloc[:0], GENES, PEAKS, contacts, TADS)
    assert [list(table.columns) for table in empty] == columns and all(table.empty for table in empty)


def test_sizes_of_the_toy_are_as_said():
    assert SIZES["chr1"] == N_BINS * RESOLUTION_BP
