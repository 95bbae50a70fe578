"""Raw inputs of every format are read alike, and each kind of bad input is one clear line."""

import re

import anndata
import numpy as np
import pandas as pd
import pytest
from builders import TYPES, edited, multiome, write_10x, write_h5ad, write_h5mu
from numpy.testing import assert_array_equal
from scipy import sparse

from grids.data import multiome as reader
from grids.data import raw_files
from grids.io.errors import InputError


@pytest.fixture
def pair():
    return multiome()


def read_pair(tmp_path, rna, atac, **options):
    rna, atac = write_h5ad(tmp_path / "rna.h5ad", rna), write_h5ad(tmp_path / "atac.h5ad", atac)
    return reader.read_raw({"rna": rna, "atac": atac, **options})


def rows(harmonisation):
    return {row["what"]: (row["n_total"], row["n_matched"]) for row in harmonisation}


# Formats


def test_every_format_yields_the_same_data(tmp_path, pair):
    rna, atac = pair
    raws = [
        reader.read_raw({"multiome": write_h5mu(tmp_path / "a.h5mu", rna, atac)}),
        reader.read_raw({"multiome": write_h5mu(tmp_path / "b.h5mu", rna, atac, names=("GEX", "Peaks"))}),
        reader.read_raw({"multiome": write_10x(tmp_path / "c.h5", rna, atac), "markers": "human_blood"}),
        read_pair(tmp_path, rna, atac),
    ]
    for raw in raws:
        assert raw.paired
        for modality, original in ((raw.rna, rna), (raw.atac, atac)):
            assert isinstance(modality.X, sparse.csr_matrix)
            assert modality.X.indices.dtype == np.int32
            assert_array_equal(modality.X.toarray(), original.X.toarray())
            assert list(modality.obs.index) == list(original.obs_names)
            assert list(modality.var.index) == list(original.var_names)
    for raw in (raws[0], raws[1], raws[3]):
        assert list(raw.rna.obs["cell_type"]) == list(raw.atac.obs["cell_type"]) == list(rna.obs["cell_type"])
    assert "cell_type" not in raws[2].rna.obs
    assert raws[2].rna.assembly == "GRCh38"


def test_dense_and_column_sparse_matrices_become_csr(tmp_path, pair, monkeypatch):
    monkeypatch.setattr(raw_files, "BLOCK", 7 * pair[0].n_vars)  # blocks of seven rows
    rna, atac = pair[0].copy(), pair[1].copy()
    rna.X, atac.X = rna.X.toarray(), atac.X.tocsc()
    raw = read_pair(tmp_path, rna, atac)
    assert_array_equal(raw.rna.X.toarray(), rna.X)
    assert_array_equal(raw.atac.X.toarray(), atac.X.toarray())
    assert (raw.rna.X.data != 0).all()
    assert isinstance(raw.rna.X, sparse.csr_matrix) and isinstance(raw.atac.X, sparse.csr_matrix)


def test_explicit_zeros_do_not_count_as_expressed(tmp_path, pair):
    rna, atac = pair
    rna.X[0] = rna.X[0] * 0
    assert rna.X[0].nnz > 0
    assert read_pair(tmp_path, rna, atac).rna.X[0].nnz == 0


def test_wide_indices_become_narrow(tmp_path, pair):
    rna, atac = pair
    atac.X.indices, atac.X.indptr = atac.X.indices.astype(np.int64), atac.X.indptr.astype(np.int64)
    raw = read_pair(tmp_path, rna, atac)
    assert raw.atac.X.indices.dtype == raw.atac.X.indptr.dtype == np.int32
    assert_array_equal(raw.atac.X.toarray(), atac.X.toarray())


def test_counts_layer_stands_in_for_a_logged_x(tmp_path, pair):
    rna, atac = pair
    rna.layers["counts"] = rna.X.copy()
    rna.X = np.log1p(rna.X.astype(np.float32))
    assert_array_equal(read_pair(tmp_path, rna, atac).rna.X.toarray(), rna.layers["counts"].toarray())
    logged = read_pair(tmp_path, rna, atac, rna_values="normalized").rna.X
    assert_array_equal(logged.toarray(), rna.X.toarray())


def test_10x_extras_are_left_out_and_reported(tmp_path, pair):
    rna, atac = pair
    names = list(rna.var_names)
    names[7] = names[3] = "TWICE"
    counts = rna.X.toarray().sum(axis=0)
    better = 3 if counts[3] >= counts[7] else 7
    path = write_10x(tmp_path / "a.h5", rna, atac, gene_names=names, other="Antibody Capture")
    raw = reader.read_raw({"multiome": path, "markers": "human_blood"})
    assert list(raw.rna.var.index).count("TWICE") == 1
    assert raw.rna.X.shape[1] == rna.n_vars and f"ENSG{10 - better:05d}" in raw.rna.var.index
    assert raw.rna.X[:, raw.rna.var.index.get_loc("TWICE")].sum() == counts[better]
    assert raw.atac.X.shape[1] == atac.n_vars
    report = rows(raw.harmonisation)
    what = "genes named by var_names; copies of a name and genes without one are named by their ids"
    assert report[what] == (30, 29)
    assert report["10x features not used: Antibody Capture"] == (1, 0)


def test_10x_keeps_the_genome_with_most_counts(tmp_path, pair):
    rna, atac = pair
    genomes = ["GRCh38"] * 25 + ["mm10"] * 5 + ["GRCh38"] * atac.n_vars
    raw = reader.read_raw(
        {"multiome": write_10x(tmp_path / "a.h5", rna, atac, genomes=genomes), "markers": "human_blood"}
    )
    assert list(raw.rna.var.index) == list(rna.var_names[:25])
    assert rows(raw.harmonisation)["features 'Gene Expression' of the main genome, GRCh38"] == (30, 25)


def test_gene_names_from_a_column(tmp_path, pair):
    rna, atac = pair
    rna.var["symbol"] = [f"S{j}" for j in range(rna.n_vars)]
    raw = read_pair(tmp_path, rna, atac, gene_name_key="symbol")
    assert list(raw.rna.var.index[:2]) == ["S0", "S1"]
    assert list(reader.gene_ids(raw.rna.var)[:2]) == ["G0", "G1"]
    with pytest.raises(
        InputError, match=r"gene_name_key 'symbl' is not in var; it has: symbol. Did you mean 'symbol'"
    ):
        read_pair(tmp_path, rna, atac, gene_name_key="symbl")


# Pairing


def test_cells_in_another_order_are_brought_together(tmp_path, pair):
    rna, atac = pair
    shuffled = atac[np.random.default_rng(0).permutation(atac.n_obs)].copy()
    raw = read_pair(tmp_path, rna, shuffled)
    assert raw.paired
    assert list(raw.atac.obs.index) == list(rna.obs_names)
    assert_array_equal(raw.atac.X.toarray(), atac.X.toarray())


def test_few_unmatched_cells_are_dropped_and_counted(tmp_path, pair):
    rna, atac = pair
    raw = read_pair(tmp_path, rna[3:].copy(), atac[:58].copy())
    assert raw.paired and raw.rna.X.shape[0] == raw.atac.X.shape[0] == 55
    assert [(s["modality"], s["n_before"], s["n_dropped"], s["n_after"]) for s in raw.steps] == [
        ("rna", 57, 2, 55),
        ("atac", 58, 3, 55),
    ]
    assert rows(raw.harmonisation)["rna cells found in atac"] == (57, 55)


def test_half_matched_cells_need_a_decision(tmp_path, pair):
    rna, atac = pair[0][:40].copy(), pair[1][20:].copy()
    with pytest.raises(
        InputError, match=r"20 cell names are in both, 50% of the smaller set.*set input.paired"
    ):
        read_pair(tmp_path, rna, atac)
    assert list(read_pair(tmp_path, rna, atac, paired=True).rna.obs.index) == [
        f"cell{i}" for i in range(20, 40)
    ]
    unpaired = read_pair(tmp_path, rna, atac, paired=False)
    assert not unpaired.paired and unpaired.rna.X.shape[0] == unpaired.atac.X.shape[0] == 40


def test_disjoint_names_mean_unpaired_unless_pairing_is_claimed(tmp_path, pair):
    rna, atac = pair[0][:30].copy(), pair[1][30:].copy()
    assert not read_pair(tmp_path, rna, atac).paired
    with pytest.raises(
        InputError, match=r"paired is true but no cell name is in both \(RNA 'cell0', ATAC 'cell30'\)"
    ):
        read_pair(tmp_path, rna, atac, paired=True)


# Cell types


def test_labels_of_either_modality_or_of_the_mudata_serve_paired_cells(tmp_path, pair):
    rna, atac = pair
    labels = rna.obs.pop("cell_type")
    raw = read_pair(tmp_path, rna, atac)
    assert list(raw.rna.obs["cell_type"]) == list(labels)
    del atac.obs["cell_type"]
    path = write_h5mu(tmp_path / "a.h5mu", rna, atac, obs={"kind": labels.to_numpy()})
    raw = reader.read_raw({"multiome": path, "cell_type_key": "kind"})
    assert list(raw.atac.obs["cell_type"]) == list(labels)


def test_missing_labels_stay_missing_and_numbers_become_text(tmp_path, pair):
    rna, atac = pair
    rna.obs["leiden"] = np.where(np.arange(60) == 5, np.nan, np.arange(60) % 3)
    raw = read_pair(tmp_path, rna, atac, cell_type_key="leiden")
    assert list(raw.rna.obs["cell_type"][:3]) == ["0", "1", "2"]
    assert raw.rna.obs["cell_type"].isna().sum() == 1 and raw.atac.obs["cell_type"].iloc[5] is None


def test_disagreeing_labels_are_reported_and_rna_wins(tmp_path, pair):
    rna, atac = pair
    atac.obs["cell_type"] = [TYPES[1], *atac.obs["cell_type"].iloc[1:]]
    raw = read_pair(tmp_path, rna, atac)
    assert rows(raw.harmonisation)["cells whose RNA and ATAC labels agree"] == (60, 59)
    assert raw.atac.obs["cell_type"].iloc[0] == TYPES[0]


def test_missing_label_column(tmp_path, pair):
    with pytest.raises(
        InputError, match=r"cell_type_key 'celltype' is not in obs; it has: cell_type. Did you mean"
    ):
        read_pair(tmp_path, *pair, cell_type_key="celltype")
    assert "cell_type" not in read_pair(tmp_path, *pair, cell_type_key="x", markers="human_blood").rna.obs


def test_unpaired_cells_need_labels_on_both_sides(tmp_path, pair):
    rna, atac = pair[0][:30].copy(), pair[1][30:].copy()
    del atac.obs["cell_type"]
    with pytest.raises(InputError, match=r"atac.h5ad'.*not in obs; it has: no columns.*input.markers"):
        read_pair(tmp_path, rna, atac)


# Files


def test_nothing_to_read():
    with pytest.raises(InputError, match=r"set either input.multiome, or both input.rna and input.atac"):
        reader.read_raw({"rna": "a.h5ad"})


def test_missing_text_and_truncated_files(tmp_path, pair):
    path = tmp_path / "a.h5mu"
    with pytest.raises(InputError, match=r"a.h5mu': file not found"):
        reader.read_raw({"multiome": path})
    path.write_text("cell\tgene\n")
    with pytest.raises(InputError, match="not an HDF5 file; expected"):
        reader.read_raw({"multiome": path})
    whole = write_h5mu(path, *pair).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="truncated or corrupt"):
        reader.read_raw({"multiome": path})


def test_damage_inside_the_file(tmp_path, pair):
    path = write_h5mu(tmp_path / "a.h5mu", *pair)
    with edited(path) as file:
        del file["mod/rna/X/indptr"]
    with pytest.raises(InputError, match="truncated or corrupt"):
        reader.read_raw({"multiome": path})


def test_wrong_format_in_the_wrong_place(tmp_path, pair):
    rna, atac = pair
    single, whole = write_h5ad(tmp_path / "a.h5ad", rna), write_h5mu(tmp_path / "b.h5mu", rna, atac)
    with pytest.raises(InputError, match=r"format is AnnData; expected MuData.*input.rna and input.atac"):
        reader.read_raw({"multiome": single})
    with pytest.raises(InputError, match=r"input.rna.*format is MuData; expected AnnData.*input.multiome"):
        reader.read_raw({"rna": whole, "atac": single})


def test_missing_modality(tmp_path, pair):
    path = write_h5mu(tmp_path / "a.h5mu", *pair, names=("rna", "protein"))
    with pytest.raises(InputError, match=r"no ATAC modality; it has: protein, rna"):
        reader.read_raw({"multiome": path})
    genes_only = write_10x(tmp_path / "a.h5", pair[0], pair[1][:, :0])
    with pytest.raises(InputError, match=r"no features of type 'Peaks'; it has: Gene Expression"):
        reader.read_raw({"multiome": genes_only})


def test_a_10x_file_that_does_not_tell_genes_from_peaks(tmp_path, pair):
    path = write_10x(tmp_path / "a.h5", *pair)
    with edited(path) as file:
        del file["matrix/features/feature_type"]
    with pytest.raises(
        InputError, match=r"features have no feature_type.*Cell Ranger ARC.*input\.rna and input\.atac"
    ):
        reader.read_raw({"multiome": path})


# Values and names


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-1, r"rna.h5ad': negative RNA values \(for example -1\)"),
        (np.nan, "RNA values hold NaN or infinity"),
        (np.inf, "RNA values hold NaN or infinity"),
        (0.5, r"not whole numbers \(e.g. 0.5\).*rna_values: normalized"),
    ],
)
def test_bad_rna_values(tmp_path, pair, value, message):
    rna, atac = pair
    rna.X = rna.X.astype(np.float32)
    rna.X.data[7] = value
    with pytest.raises(InputError, match=message):
        read_pair(tmp_path, rna, atac)


def test_fractional_values_are_fine_when_declared_and_in_atac(tmp_path, pair):
    rna, atac = (part.copy() for part in pair)
    rna.X, atac.X = rna.X * np.float32(0.5), atac.X.astype(np.float32)
    atac.X.data[0] = 0.25
    raw = read_pair(tmp_path, rna, atac, rna_values="normalized")
    nnz = pair[1].X.nnz
    assert rows(raw.harmonisation)["non-zero ATAC values that are whole numbers"] == (nnz, nnz - 1)
    atac.X.data[0] = -0.25
    with pytest.raises(InputError, match=r"atac.h5ad': negative ATAC values \(for example -0.25\)"):
        read_pair(tmp_path, rna, atac, rna_values="normalized")


def test_duplicated_names(tmp_path, pair):
    rna, atac = (part.copy() for part in pair)
    rna.obs_names = ["twin", "twin", *rna.obs_names[2:]]
    with pytest.raises(InputError, match=r"1 duplicated cell names \(twin\)"):
        read_pair(tmp_path, rna, atac)
    rna, atac = (part.copy() for part in pair)
    rna.var_names = ["GAD1", "GAD1", *rna.var_names[2:]]
    with pytest.raises(InputError, match=r"1 duplicated gene names \(GAD1\).*gene_name_key"):
        read_pair(tmp_path, rna, atac)
    rna, atac = (part.copy() for part in pair)
    atac.var_names = [atac.var_names[1], *atac.var_names[1:]]
    with pytest.raises(InputError, match=r"1 duplicated peak names \(chr"):
        read_pair(tmp_path, rna, atac)


def test_empty_matrices(tmp_path, pair):
    rna, atac = pair
    empty = anndata.AnnData(sparse.csr_matrix((60, 4)), obs=atac.obs, var=pd.DataFrame(index=list("abcd")))
    with pytest.raises(InputError, match=r"empty ATAC matrix \(60 cells x 4 peaks, 0 non-zero values\)"):
        read_pair(tmp_path, rna, empty)
    with pytest.raises(InputError, match=r"empty RNA matrix \(0 cells x 30 genes"):
        read_pair(tmp_path, rna[:0].copy(), atac)


# Other features, repeated names, cells that only look different


@pytest.mark.parametrize("column", ["feature_types", "feature_type"])
@pytest.mark.parametrize("genes", ["Gene Expression", "GEX"])
@pytest.mark.parametrize("other", ["Antibody Capture", "CRISPR Guide Capture", "Peaks"])
def test_only_genes_are_genes(tmp_path, pair, column, genes, other):
    rna, atac = pair
    extra = anndata.AnnData(sparse.csr_matrix(np.full((60, 2), 1000, np.int32)), obs=rna.obs)
    extra.var_names = ["CD3", "CD19"]
    both = anndata.concat([extra, rna], axis=1)
    both.obs = rna.obs
    both.var[column] = [other] * 2 + [genes] * rna.n_vars
    raw = read_pair(tmp_path, both, atac)
    assert list(raw.rna.var.index) == list(rna.var_names)
    assert_array_equal(raw.rna.X.toarray(), rna.X.toarray())
    assert_array_equal(raw.rna.depth, np.asarray(rna.X.sum(1)).ravel())
    assert rows(raw.harmonisation)[f"RNA features used; left out: {other}"] == (32, 30)
    as_atac = both.copy()
    as_atac.var[column] = other
    if other != "Peaks":
        with pytest.raises(InputError, match=rf"no features for ATAC; var\['{column}'\] has: {other}"):
            read_pair(tmp_path, both, as_atac)


def test_a_combined_file_serves_both_modalities(tmp_path, pair):
    rna, atac = pair
    both = anndata.concat([rna, atac], axis=1)
    both.obs = rna.obs
    both.var["feature_types"] = ["Gene Expression"] * rna.n_vars + ["Peaks"] * atac.n_vars
    raw = read_pair(tmp_path, both, both)
    assert_array_equal(raw.rna.X.toarray(), rna.X.toarray())
    assert_array_equal(raw.atac.X.toarray(), atac.X.toarray())
    named_only = both.copy()
    del named_only.var["feature_types"]
    raw = read_pair(tmp_path, named_only, atac)  # peaks among genes are known by their names
    assert list(raw.rna.var.index) == list(rna.var_names)
    assert rows(raw.harmonisation)["RNA features used; left out: peaks by their names"] == (70, 30)


def test_a_column_of_biotypes_is_no_feature_type(tmp_path, pair):
    rna, atac = pair
    rna.var["feature_types"] = ["protein_coding", "lncRNA"] * 15
    assert read_pair(tmp_path, rna, atac).rna.X.shape == rna.shape


@pytest.mark.parametrize("missing", [None, np.nan, "", "nan"])
def test_copies_of_a_gene_name_and_genes_without_one(tmp_path, pair, missing):
    rna, atac = pair
    symbols = [f"S{j}" for j in range(30)]
    symbols[5] = symbols[6] = "TWICE"
    symbols[9] = missing
    rna.var["symbol"] = pd.Series(symbols, index=rna.var_names, dtype=object).astype("category")
    raw = read_pair(tmp_path, rna, atac, gene_name_key="symbol")
    totals = np.asarray(rna.X.sum(0)).ravel()
    lesser = 5 if totals[5] < totals[6] else 6
    expected = [f"G{j}" if j in (lesser, 9) else symbols[j] for j in range(30)]
    assert list(raw.rna.var.index) == expected
    assert list(reader.gene_ids(raw.rna.var)) == list(rna.var_names)
    what = "genes named by symbol; copies of a name and genes without one are named by var_names"
    assert rows(raw.harmonisation)[what] == (30, 28)


def test_copies_of_a_name_in_var_take_their_ids(tmp_path, pair):
    rna, atac = pair
    rna.var["gene_ids"] = [f"ENSG{j:03d}" for j in range(30)]
    rna.var_names = ["DAZ1", "DAZ1", "DAZ1", *rna.var_names[3:]]
    best = int(np.asarray(rna.X.sum(0)).ravel()[:3].argmax())
    names = list(read_pair(tmp_path, rna, atac).rna.var.index)
    assert names[:3] == ["DAZ1" if j == best else f"ENSG{j:03d}" for j in range(3)]


BARCODES = ["ACGTACGTAC", "CCGTACGTAA", "GCGTACGTAT", "TTTTACGTAC", "AAAAACGTAC", "GGGGACGTAC"]


@pytest.mark.parametrize(
    ("of_rna", "of_atac"),
    [
        ("{}-1", "{}"),
        ("{}", "sample1#{}-1"),
        ("s1_{}-1", "{}-1"),
        ("{}_1", "{}-1"),
        ("gex:{}", "atac:{}"),
        ("sample1#{}-1", "{}-1_sample1"),
        ("batch-1!{}", "{}"),
    ],
)
def test_names_that_differ_by_a_prefix_or_suffix_are_not_other_cells(tmp_path, pair, of_rna, of_atac):
    rna, atac = (part[: len(BARCODES)].copy() for part in pair)
    rna.obs_names, atac.obs_names = ([form.format(b) for b in BARCODES] for form in (of_rna, of_atac))
    atac = atac[::-1].copy()
    first = re.escape(f"(RNA '{of_rna.format(BARCODES[-1])}', ATAC '{of_atac.format(BARCODES[-1])}')")
    message = (
        f"no cell name is in both, yet 6 of 6 agree but for a prefix or suffix {first}.*input.paired: false"
    )
    with pytest.raises(InputError, match=message):
        read_pair(tmp_path, rna, atac)
    with pytest.raises(
        InputError, match=r"input\.paired is true but no cell name is in both, yet 6 of 6 agree"
    ):
        read_pair(tmp_path, rna, atac, paired=True)
    assert not read_pair(tmp_path, rna, atac, paired=False).paired


def test_other_cells_are_unpaired_without_being_asked(tmp_path, pair):
    rna, atac = (part.copy() for part in pair)
    rna.obs_names = [f"rna_{i}" for i in range(60)]
    atac.obs_names = [f"atac_{i}" for i in range(60)]  # numbers are no barcodes
    assert not read_pair(tmp_path, rna, atac).paired
    atac.obs_names = [f"{b}{i}-1" for i, b in enumerate(BARCODES * 10)]
    assert not read_pair(tmp_path, rna, atac).paired


def test_labels_that_agree_little_make_the_pairing_doubtful(tmp_path, pair, caplog):
    rna, atac = pair
    with caplog.at_level("WARNING", "grids"):
        read_pair(tmp_path, rna, atac)
        assert "doubtful" not in caplog.text
        atac.obs_names = np.random.default_rng(0).permutation(atac.obs_names)
        raw = read_pair(tmp_path, rna, atac)
    n, n_equal = rows(raw.harmonisation)["cells whose RNA and ATAC labels agree"]
    assert n_equal < 0.5 * n
    assert f"have the same 'cell_type' in {n_equal} of 60 only, so it is doubtful" in caplog.text
