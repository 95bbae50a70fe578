"""Which cells and features are dropped, in which step, and what the tables say about it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from grids.data.multiome import RawMultiome
from grids.data.quality_control import METRIC_COLUMNS, CellFilter, enough_cells
from grids.data.raw_files import Part
from grids.io.errors import InputError
from grids.io.levels import ALL_TYPES

LOOSE = {"min_fragments": 0, "min_genes": 0, "min_tss_enrichment": 2}


def modality(values, labels=None, **columns):
    cells = [f"c{i}" for i in range(len(values))]
    obs = pd.DataFrame(columns, index=cells)
    if labels is not None:
        obs["cell_type"] = labels
    return Part(sparse.csr_matrix(np.array(values)), obs, pd.DataFrame(index=range(len(values[0]))), "a file")


def raw(rna, atac, paired=True):
    return RawMultiome(rna, atac, paired)


def steps_of(kept):
    return [
        (row["modality"], row["step"], row["n_before"], row["n_dropped"], row["n_after"])
        for row in kept.steps
    ]


def test_a_paired_cell_must_pass_both_modalities():
    # fragments 5 1 5 5, genes 2 2 1 2: the second and the third cell go, each for its own reason
    rna, atac = modality([[1, 2], [3, 1], [0, 9], [1, 1]]), modality([[2, 3], [1, 0], [5, 0], [0, 5]])
    kept = CellFilter(raw(rna, atac))
    kept.apply_thresholds({**LOOSE, "min_fragments": 5, "min_genes": 2})
    assert_array_equal(kept.kept("rna"), [0, 3])
    assert_array_equal(kept.kept("atac"), [0, 3])
    assert steps_of(kept) == [
        ("paired", "min_fragments", 4, 1, 3),
        ("paired", "min_genes", 3, 1, 2),
        ("paired", "min_tss_enrichment", 2, 0, 2),
    ]
    table = kept.table()
    assert list(table.columns) == METRIC_COLUMNS
    assert list(table["n_fragments"]) == [5, 1, 5, 5]
    assert list(table["n_genes"]) == [2, 2, 1, 2]
    assert list(table["n_counts"]) == [3, 4, 9, 2]
    assert list(table["kept"]) == [True, False, False, True]
    assert list(table["reason"]) == ["", "min_fragments", "min_genes", ""]


def test_unpaired_modalities_are_filtered_separately():
    rna, atac = modality([[1, 2], [0, 1]]), modality([[4], [9], [1]])
    kept = CellFilter(raw(rna, atac, paired=False))
    kept.apply_thresholds({**LOOSE, "min_fragments": 4, "min_genes": 2})
    assert_array_equal(kept.kept("rna"), [0])
    assert_array_equal(kept.kept("atac"), [0, 1])
    table = kept.table()
    assert list(table["modality"]) == ["rna", "rna", "atac", "atac", "atac"]
    assert table["n_fragments"].isna().tolist() == [True, True, False, False, False]


def test_tss_enrichment_is_used_where_a_column_has_it_and_its_absence_is_said():
    rna = modality([[1]] * 3)
    kept = CellFilter(raw(rna, modality([[1]] * 3, **{"TSS.enrichment": [3.0, 1.9, np.nan]})))
    kept.apply_thresholds(LOOSE)
    assert_array_equal(kept.kept("atac"), [0, 2])  # what is missing is not below
    assert "TSS.enrichment" in kept.steps[-1]["reason"]
    kept = CellFilter(raw(rna, modality([[1]] * 3)))
    kept.apply_thresholds(LOOSE)
    assert_array_equal(kept.kept("atac"), [0, 1, 2])
    assert kept.steps[-1]["reason"].startswith("not applied")


def test_fragment_counts_of_the_user_come_before_the_sum():
    kept = CellFilter(raw(modality([[1]] * 2), modality([[1]] * 2, nCount_ATAC=[1500, 900])))
    kept.apply_thresholds({**LOOSE, "min_fragments": 1000})
    assert_array_equal(kept.kept("rna"), [0])
    assert "nCount_ATAC" in kept.steps[0]["reason"]


def test_no_cell_left_tells_the_medians():
    kept = CellFilter(raw(modality([[1, 1], [1, 0], [1, 0]]), modality([[3], [4], [11]])))
    with pytest.raises(InputError, match=r"none of 3 cells passes .*medians: n_fragments 4, n_genes 1"):
        kept.apply_thresholds({**LOOSE, "min_fragments": 1000})


def test_unlabelled_cells_and_small_types_are_dropped_and_counted():
    labels = ["A", "A", None, "B", "A"]
    kept = CellFilter(raw(modality([[1]] * 5, labels), modality([[1]] * 5, labels)))
    kept.drop_unusable_types(min_cells=2)
    assert_array_equal(kept.kept("rna"), [0, 1, 4])
    assert steps_of(kept) == [("paired", "cell_type", 5, 1, 4), ("paired", "min_cells_per_type", 4, 1, 3)]
    assert kept.steps[-1]["reason"].endswith(": B")
    assert kept.losses_of("B") == "1 by min_cells_per_type"


def test_types_of_one_modality_only_are_dropped_from_unpaired_data():
    rna, atac = modality([[1]] * 4, ["A", "A", "R", "R"]), modality([[1]] * 3, ["A", "A", "T"])
    kept = CellFilter(raw(rna, atac, paired=False))
    kept.drop_unusable_types(min_cells=2)
    assert_array_equal(kept.kept("rna"), [0, 1])
    assert_array_equal(kept.kept("atac"), [0, 1])
    shared = [row for row in kept.steps if row["step"] == "shared_cell_types"]
    assert [(row["modality"], row["n_dropped"]) for row in shared] == [("rna", 2), ("atac", 1)]
    assert shared[0]["reason"].endswith(": R") and shared[1]["reason"].endswith(": T")


def test_a_type_has_to_be_large_enough_in_both_modalities():
    rna, atac = modality([[1]] * 6, ["A"] * 3 + ["B"] * 3), modality([[1]] * 4, ["A", "A", "A", "B"])
    kept = CellFilter(raw(rna, atac, paired=False))
    kept.drop_unusable_types(min_cells=2)
    assert list(kept.counts()["rna"].index) == ["A"]
    assert kept.losses_of("B") == "4 by min_cells_per_type"


def test_no_shared_type_and_no_large_type():
    kept = CellFilter(raw(modality([[1]] * 2, ["A", "A"]), modality([[1]] * 2, ["a", "a"]), paired=False))
    with pytest.raises(InputError, match=r"no cell type is found in both modalities \(rna: A; atac: a\)"):
        kept.drop_unusable_types(1)
    kept = CellFilter(raw(modality([[1]] * 3, ["A", "A", "B"]), modality([[1]] * 3, ["A", "A", "B"])))
    with pytest.raises(InputError, match=r"min_cells_per_type = 20 cells .*largest: 'A' with 2"):
        kept.drop_unusable_types(20)


def test_steps_of_reading_come_first():
    data = RawMultiome(modality([[1]]), modality([[1]]), True, steps=[{"step": "pairing", "modality": "rna"}])
    kept = CellFilter(data)
    kept.drop("paired", "mine", [True], "none")
    assert [row["step"] for row in kept.steps] == ["pairing", "mine"]


def test_features_in_enough_cells():
    matrix = sparse.csr_matrix([[1, 0, 0, 2], [1, 0, 3, 0], [5, 0, 1, 0]])
    keep, n_cells = enough_cells(matrix, 2)
    assert keep.tolist() == [True, False, True, False]
    assert n_cells.tolist() == [3, 0, 2, 1]
    keep, _ = enough_cells(matrix, 3, always=np.array([False, True, False, True]))
    assert keep.tolist() == [True, False, False, True]  # kept regardless, unless zero everywhere
    assert enough_cells(matrix, 0)[0].tolist() == [True, False, True, True]


@given(
    passes=st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=5),
)
def test_every_dropped_cell_is_counted_once(passes):
    kept = CellFilter(raw(modality([[1]] * 6), modality([[1]] * 6)))
    for i, mask in enumerate(passes):
        kept.drop("paired", f"step {i}", mask, "")
    table = kept.table()
    assert_array_equal(np.flatnonzero(np.all(passes, axis=0)), kept.kept("rna"))
    lost = table.loc[~table["kept"], "reason"].value_counts()
    assert [row["n_dropped"] for row in kept.steps] == [lost.get(f"step {i}", 0) for i in range(len(passes))]
    assert (table["reason"] == "").equals(table["kept"])
    assert kept.steps[0]["n_before"] == 6 and kept.steps[-1]["n_after"] == table["kept"].sum()


def test_a_missing_metric_is_neither_below_nor_above():
    atac = modality(
        [[9], [1], [1], [9]], n_fragments=[np.nan, np.nan, 8.0, 2.0], tss_enrichment=[3.0, np.nan, 1.0, 5.0]
    )
    kept = CellFilter(raw(modality([[1]] * 4), atac))
    kept.apply_thresholds({**LOOSE, "min_fragments": 5})
    assert list(kept.metrics["paired"]["reason"]) == [
        "",
        "min_fragments",
        "min_tss_enrichment",
        "min_fragments",
    ]
    assert list(kept.metrics["paired"]["n_fragments"]) == [9, 1, 8, 2]
    reasons = {row["step"]: row["reason"] for row in kept.steps}
    assert reasons["min_fragments"] == (
        "fewer than 5 fragments (obs column n_fragments; 2 of 4 cells without n_fragments are judged by the sum of "
        "their ATAC counts)"
    )
    assert reasons["min_tss_enrichment"].endswith("1 of 4 cells without tss_enrichment are not judged by it)")


def test_a_type_of_the_data_may_not_be_called_as_all_of_them_are():
    counts = [[1]] * 4
    kept = CellFilter(raw(modality(counts), modality(counts)))
    kept.metrics["paired"]["cell_type"] = ["A", "A", "B", "B"]
    kept.check_types(["A", ALL_TYPES], "study.yaml")
    with pytest.raises(InputError, match="cell type 'C' is not in the data"):
        kept.check_types(["C", ALL_TYPES], "study.yaml")
    kept.metrics["paired"]["cell_type"] = ["A", "A", ALL_TYPES, ALL_TYPES]
    with pytest.raises(InputError, match="called 'all types', which stands for all of them here") as error:
        kept.check_types(["A"], "study.yaml")
    assert "\n" not in str(error.value)


def test_a_column_without_any_value_is_no_column():
    kept = CellFilter(raw(modality([[1]] * 2), modality([[9], [1]], n_fragments=np.nan, nFrags=[7.0, 8.0])))
    assert kept.fragments_from == "obs column nFrags" and list(kept.metrics["paired"]["n_fragments"]) == [
        7,
        8,
    ]
