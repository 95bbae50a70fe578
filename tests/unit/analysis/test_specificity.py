import numpy as np
import pandas as pd
import pytest
from refitted_toys import ReplicatedToy, WindowToy
from scipy import sparse
from toys import LinearToy

from grids.analysis.specificity import jaccard, measure_specificity
from grids.io.cells import Modality
from grids.io.errors import InputError
from grids.io.tables import SPECIFICITY_COLUMNS


def atac(opened):
    opened = sparse.csr_matrix(np.asarray(opened, dtype=np.uint8))
    obs = pd.DataFrame({"cell_type": "Oligo"}, index=[f"cell{i}" for i in range(opened.shape[0])])
    return Modality(opened, obs, pd.DataFrame(index=range(opened.shape[1])))


def found(surrogate, cell_type, columns, gene="G0", direction="silence"):
    return pd.DataFrame(
        {
            "surrogate": "toy", "method": "grids", "cell_type": cell_type, "gene": gene, "direction": direction,
            "set_size": len(columns), "rank": range(1, len(columns) + 1),
            "peak": [surrogate.peaks[c] for c in columns],
        }
    )  # fmt: skip


def rows(table):
    return {row["found_in"]: row for row in table.to_dict("records")}


def test_a_set_matters_where_its_peaks_are_open():
    surrogate = LinearToy([0.5, 0.2, 0.8])
    sets = pd.concat([found(surrogate, "Oligo", [0, 1]), found(surrogate, "Astro", [1, 2])])
    table = measure_specificity(surrogate, atac([[1, 1, 0], [1, 0, 0]]), "Oligo", sets)
    assert list(table.columns) == SPECIFICITY_COLUMNS
    by_type = rows(table)
    assert by_type["Oligo"]["log_change"] == pytest.approx(-(0.7 + 0.5) / 2)
    assert by_type["Astro"]["log_change"] == pytest.approx(-0.2 / 2)  # peak 2 is closed here
    assert by_type["Oligo"]["jaccard"] == 1 and by_type["Astro"]["jaccard"] == pytest.approx(1 / 3)
    assert set(table["applied_to"]) == {"Oligo"} and set(table["n_cells"]) == {2}
    # Resampling two cells gives one of three means; each tail has a quarter of the draws.
    assert by_type["Astro"]["log_change_low"] == pytest.approx(-0.2)
    assert by_type["Astro"]["log_change_high"] == pytest.approx(0)


def test_genes_without_a_prediction_are_left_out_and_types_without_an_own_set_have_no_overlap():
    surrogate = LinearToy([0.5, 0.2])
    sets = pd.concat([found(surrogate, "Astro", [0]), found(surrogate, "Astro", [0], gene="OTHER")])
    (row,) = measure_specificity(surrogate, atac([[1, 1]]), "Oligo", sets).to_dict("records")
    assert row["gene"] == "G0" and np.isnan(row["jaccard"])


def test_sets_to_activate_are_opened():
    surrogate = LinearToy([0.5, 0.2])
    sets = found(surrogate, "Astro", [0, 1], direction="activate")
    table = measure_specificity(surrogate, atac([[1, 0], [0, 0]]), "Oligo", sets)
    assert table["log_change"].item() == pytest.approx((0.2 + 0.7) / 2)
    assert table["direction"].item() == "activate"


def test_replicates_of_the_surrogate_widen_the_interval():
    surrogate = ReplicatedToy([1.0], replicates=[[w] for w in np.linspace(0.5, 1.5, 41)])
    (row,) = measure_specificity(
        surrogate, atac(np.ones((5, 1))), "Oligo", found(surrogate, "Astro", [0])
    ).to_dict("records")
    assert row["log_change"] == pytest.approx(-1)  # equal cells: all the spread is the surrogate's
    assert row["log_change_low"] == pytest.approx(-1.475, abs=0.03)
    assert row["log_change_high"] == pytest.approx(-0.525, abs=0.03)


def test_a_surrogate_with_a_part_for_each_gene_is_asked_for_it():
    surrogate = WindowToy([0.5, 0.2, 0.8], windows={"G0": [0, 1], "G1": [2, 1]})
    sets = pd.concat([found(surrogate, "Astro", [0, 1]), found(surrogate, "Astro", [1, 2], gene="G1")])
    table = measure_specificity(surrogate, atac([[1, 0, 1]]), "Oligo", sets).set_index("gene")
    assert table.loc["G0", "log_change"] == pytest.approx(-0.5)
    assert table.loc["G1", "log_change"] == pytest.approx(-0.8)


def test_no_sets_give_an_empty_table_with_its_columns():
    surrogate = WindowToy([0.5], windows={"G0": [0]})
    for n_cells in (3, 0):
        table = measure_specificity(
            surrogate, atac(np.ones((n_cells, 1))), "Oligo", found(surrogate, "Astro", [])
        )
        assert table.empty and list(table.columns) == SPECIFICITY_COLUMNS


def test_jaccard():
    assert jaccard({1, 2, 3}, {3, 4}) == 0.25
    assert jaccard({1}, {1}) == 1 and jaccard({1}, {2}) == 0
    assert np.isnan(jaccard({1}, set()))


def test_a_type_without_test_cells_is_refused():
    surrogate = LinearToy([0.5])
    with pytest.raises(InputError, match=r"'Oligo' has no test cells .* preprocessing\.split\.test"):
        measure_specificity(surrogate, atac(np.ones((0, 1))), "Oligo", found(surrogate, "Astro", [0]))


def test_overlap_is_with_the_own_set_whatever_its_size():
    surrogate = LinearToy([0.5, 0.2, 0.8])
    sets = pd.concat([found(surrogate, "Oligo", [0, 1, 2]), found(surrogate, "Astro", [0])])
    table = measure_specificity(surrogate, atac([[1, 1, 1]]), "Oligo", sets)
    assert table.set_index("found_in")["jaccard"].to_dict() == {"Oligo": 1, "Astro": pytest.approx(1 / 3)}


def test_overlap_is_with_the_own_set_of_the_same_size_where_there_are_several():
    surrogate = LinearToy([0.5, 0.2, 0.8])
    sets = [found(surrogate, cell_type, members) for cell_type, members in
            [("Oligo", [0]), ("Oligo", [1, 2]), ("Astro", [0]), ("Astro", [0, 1])]]  # fmt: skip
    table = measure_specificity(surrogate, atac([[1, 1, 1]]), "Oligo", pd.concat(sets))
    overlap = table[table["found_in"] == "Astro"].set_index("set_size")["jaccard"]
    assert overlap.to_dict() == {1: 1, 2: pytest.approx(1 / 3)}
