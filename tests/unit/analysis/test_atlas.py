import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, kruskal, kstest, mannwhitneyu

from grids.analysis.atlas import read_gene_classes, summarise_atlas
from grids.io.errors import InputError
from grids.io.tables import ATLAS_COLUMNS


def redundancy(index, **columns):
    """One set per entry of `index`: redundant where positive, of class none where missing."""
    index = np.asarray(index, dtype=float)
    classes = np.select([np.isnan(index), index > 0], ["none", "redundant"], "multiplicative")
    table = pd.DataFrame(
        {
            "surrogate": "window", "method": "grids", "cell_type": "A", "direction": "silence", "set_size": 3,
            "gene": [f"G{i}" for i in range(len(index))], "redundancy_index": index, "class": classes,
            "n_sufficient": np.where(np.isnan(index), np.nan, 2),
        }
    )  # fmt: skip
    return table.assign(**columns)


def windows(n_peaks):
    pairs = [(f"p{i}", gene) for gene, n in n_peaks.items() for i in range(n)]
    return pd.DataFrame(pairs, columns=["peak", "gene"])


NO_WINDOWS = windows({})


def groups(table, grouping):
    return table[table["grouping"] == grouping].set_index("group")


def test_sets_without_joint_effect_count_in_the_classes_but_not_in_the_index():
    sets = redundancy([0.1, 0.2, 0.3, 0.9, np.nan, 0.0], set_size=[3, 3, 3, 3, 3, 1])
    table = summarise_atlas(sets, NO_WINDOWS)
    assert list(table.columns) == ATLAS_COLUMNS
    row = groups(table, "all").loc["all"]
    assert (row["n_sets"], row["n_genes"], row["n_with_index"]) == (6, 6, 4)
    assert row["median_redundancy_index"] == pytest.approx(0.25)
    assert (row["lower_quartile"], row["upper_quartile"]) == pytest.approx((0.175, 0.45))
    assert row["share_redundant"] == pytest.approx(4 / 6)
    assert row["share_none"] == row["share_multiplicative"] == pytest.approx(1 / 6)
    assert np.isnan(row["p_value"]) and np.isnan(row["p_value_of_grouping"])


def test_cell_types_are_compared_by_rank_with_all_others():
    index = {"A": [0.1, 0.2, 0.3, 0.4], "B": [0.5, 0.6, 0.7, 0.75], "C": [0.15, 0.55, 0.35, 0.45]}
    sets = redundancy(np.concatenate(list(index.values())), cell_type=np.repeat(list(index), 4))
    table = groups(summarise_atlas(sets, NO_WINDOWS), "cell_type")
    others = {t: np.concatenate([index[u] for u in index if u != t]) for t in index}
    expected = [mannwhitneyu(index[t], others[t], method="asymptotic").pvalue for t in "ABC"]
    np.testing.assert_allclose(table.loc[list("ABC"), "p_value"], expected)
    np.testing.assert_allclose(table.loc[list("ABC"), "q_value"], false_discovery_control(expected))
    np.testing.assert_allclose(table["p_value_of_grouping"], kruskal(*index.values()).pvalue)


def test_classes_of_genes_are_tested_with_one_value_per_gene():
    # Every gene has a set in three cell types; those of one gene are alike and no evidence of their own.
    per_gene = np.array([0.1, 0.3, 0.5, 0.2, 0.6, 0.7])
    noise = np.array([-0.01, 0.0, 0.01])
    sets = redundancy(
        (per_gene[:, None] + noise).ravel(),
        gene=np.repeat([f"G{i}" for i in range(6)], 3),
        cell_type=np.tile(list("ABC"), 6),
    )
    classes = pd.DataFrame(
        {"gene": ["G0", "G1", "G2", "G5", "G0", "ELSE"], "gene_class": ["TF"] * 3 + ["solo", "both", "no"]}
    )
    table = groups(summarise_atlas(sets, NO_WINDOWS, classes), "gene_class")
    assert list(table.index) == ["TF", "both", "solo"]  # no set of this run is of class "no"
    assert list(table["n_sets"]) == [9, 3, 3] and list(table["n_genes"]) == [3, 1, 1]
    # Genes without a class are among the others.
    expected = mannwhitneyu(per_gene[:3], per_gene[3:], method="asymptotic").pvalue
    assert table.loc["TF", "p_value"] == pytest.approx(expected)
    assert table.loc[["both", "solo"], "p_value"].isna().all()


def test_genes_are_divided_by_the_number_of_peaks_in_their_window():
    n_peaks = {f"G{i}": i for i in range(1, 8)}  # G0 has no peak in its window
    table = groups(summarise_atlas(redundancy(np.linspace(0.1, 0.8, 8)), windows(n_peaks)), "n_window_peaks")
    assert list(table.index) == ["0 to 1", "2 to 3", "4 to 5", "6 to 7"]
    np.testing.assert_allclose(table["median_redundancy_index"], [0.15, 0.35, 0.55, 0.75])


def test_sets_are_divided_by_the_number_of_sufficient_members():
    sets = redundancy([0.1, 0.2, 0.3, np.nan], n_sufficient=[10, 2, 2, np.nan])
    table = groups(summarise_atlas(sets, NO_WINDOWS), "n_sufficient")
    assert list(table.index) == ["2", "10"] and list(table["n_sets"]) == [2, 1]


def noisy_run(rng, n_genes=60):
    """Genes that are all alike, in two cell types; what is measured of them is noise about the same effects."""
    n_sets, members = 2 * n_genes, 4
    joint = 1 + 0.12 * rng.normal(size=n_sets)
    singles = np.abs(0.2 + 0.12 * rng.normal(size=(n_sets, members)))
    singles = -np.sort(-singles, axis=1)
    reached = np.minimum(singles.cumsum(1) / singles.sum(1, keepdims=True), 1)
    sets = redundancy(1 - singles.sum(1) / joint, n_sufficient=1 + (reached < 0.75).sum(1))
    genes = [f"G{i}" for i in range(n_genes)]
    return sets.assign(gene=genes * 2, cell_type=np.repeat(["A", "B"], n_genes))


def test_what_follows_from_the_same_effects_is_described_not_tested():
    rng = np.random.default_rng(0)
    n_peaks = {f"G{i}": int(n) for i, n in enumerate(rng.integers(1, 30, 60))}
    classes = pd.DataFrame({"gene": list(n_peaks), "gene_class": rng.choice(["x", "y", "z"], 60)})
    tables = [summarise_atlas(noisy_run(rng), windows(n_peaks), classes) for _ in range(30)]
    sufficient = pd.concat(groups(table, "n_sufficient") for table in tables)
    assert (sufficient["n_with_index"] > 3).any()
    assert sufficient[["p_value_of_grouping", "p_value", "q_value"]].isna().all(axis=None)
    for grouping in ("cell_type", "n_window_peaks", "gene_class"):
        p_values = pd.concat(groups(table, grouping) for table in tables)
        assert (p_values["p_value"] < 0.05).mean() < 0.12
        of_grouping = [groups(table, grouping)["p_value_of_grouping"].iloc[0] for table in tables]
        assert kstest(of_grouping, "uniform").pvalue > 0.01


@pytest.mark.parametrize("n_names", [2, 4, 8])
def test_a_class_under_several_names_does_not_change_the_p_values(n_names):
    sets = redundancy(np.random.default_rng(3).normal(size=40))
    other = pd.DataFrame({"gene": [f"G{i}" for i in range(8, 30)], "gene_class": "other"})
    named = [
        pd.DataFrame({"gene": [f"G{i}" for i in range(12)], "gene_class": f"name {n}"})
        for n in range(n_names)
    ]
    once, several = (
        groups(summarise_atlas(sets, NO_WINDOWS, pd.concat([*names, other])), "gene_class")
        for names in (named[:1], named)
    )
    assert 0.01 < once["p_value_of_grouping"].iloc[0] < 0.99
    np.testing.assert_allclose(several["p_value_of_grouping"], once["p_value_of_grouping"].iloc[0], rtol=1e-6)
    np.testing.assert_allclose(several.loc[once.index, "p_value"], once["p_value"])


def test_methods_are_never_pooled():
    sets = pd.concat([redundancy([0.1, 0.2]), redundancy([0.9], method="saliency")])
    table = groups(summarise_atlas(sets, NO_WINDOWS), "all").set_index("method")
    assert dict(table["n_sets"]) == {"grids": 2, "saliency": 1}


def test_runs_without_sets_or_without_effects_give_a_table():
    assert list(summarise_atlas(redundancy([]), NO_WINDOWS).columns) == ATLAS_COLUMNS
    table = summarise_atlas(redundancy([np.nan] * 4), NO_WINDOWS)
    assert set(table["grouping"]) == {"all", "cell_type", "n_window_peaks"}
    assert table["median_redundancy_index"].isna().all() and (table["share_none"] == 1).all()


def test_gene_classes_are_read_and_checked(tmp_path):
    path, genes = tmp_path / "classes.tsv", pd.Series(["MOG", "GJA1"])
    path.write_text("gene\tgene_class\tsource\nMOG\tmarker\tx\nMOG\tmarker\ty\nNA\thousekeeping\tz\n")
    assert read_gene_classes(path, genes).to_numpy().tolist() == [["MOG", "marker"], ["NA", "housekeeping"]]
    path.write_text("gene\tclass\nMOG\tmarker\n")
    with pytest.raises(InputError, match=r"'gene_class' is missing; .* it has: gene, class"):
        read_gene_classes(path, genes)
    path.write_text("gene\tgene_class\nENSG1\tmarker\n")
    with pytest.raises(InputError, match=r"none of its 1 genes \(e.g. 'ENSG1'\) .* \(e.g. 'MOG'\)"):
        read_gene_classes(path, genes)
    path.write_text("gene\tgene_class\n")
    with pytest.raises(InputError, match="no rows"):
        read_gene_classes(path, genes)
    path.write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(InputError, match="cannot be read as TSV"):
        read_gene_classes(path, genes)
