"""The chain from raw files to the preprocessed multiome and its tables."""

import logging
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest
from builders import N_GENES, N_PEAKS, TYPES, config, multiome, peak_name, write_genes, write_h5ad, write_h5mu
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from grids.data import preprocessing
from grids.data.normalisation import detection_chance
from grids.io import tables
from grids.io.cells import Modality, read_multiome
from grids.io.errors import InputError

TASKS = {"CD8+ T": ["G0", "G3"], "L2/3": ["G1"]}
DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
SPLITS = ("train", "validation", "test")
FIELDS = ("genes", "accessibility", "cells", "metrics", "harmonisation", "annotation", "tasks", "skipped")


@pytest.fixture
def genes(tmp_path):
    return write_genes(tmp_path / "genes.bed")


@pytest.fixture
def run(tmp_path, genes):
    """Preprocess a pair of modalities: paired as MuData, or as two files."""

    def preprocess(rna, atac, tasks=TASKS, two_files=False, **options):
        if two_files:
            files = {
                "rna": write_h5ad(tmp_path / "r.h5ad", rna),
                "atac": write_h5ad(tmp_path / "a.h5ad", atac),
            }
        else:
            files = {"multiome": write_h5mu(tmp_path / "m.h5mu", rna, atac)}
        return preprocessing.preprocess(config(genes, tasks, **options), source="study.yaml", **files)

    return preprocess


def test_what_the_multiome_holds(run):
    rna, atac = multiome()
    result = run(rna, atac)
    out_rna, out_atac = result.multiome["rna"], result.multiome["atac"]

    # the peaks were given in reverse; they come out by chromosome and position, binary
    order = sorted(range(N_PEAKS), key=lambda j: (j % 2, int(peak_name(j).split(":")[1].split("-")[0])))
    names = [peak_name(j) for j in order]
    assert list(out_atac.var_names) == names
    assert_array_equal(out_atac.X.toarray(), (atac[:, names].X.toarray() > 0).astype(np.uint8))
    assert out_atac.X.dtype == np.uint8 and out_atac.X.indices.dtype == np.int32
    assert out_atac.X.has_sorted_indices
    assert list(out_atac.var["n_cells"]) == list((atac[:, names].X.toarray() > 0).sum(axis=0))
    assert list(out_atac.obs["n_fragments"]) == list(atac.X.toarray().sum(axis=1))

    counts = rna.X.toarray()
    assert_array_equal(out_rna.layers["counts"].toarray(), counts)
    expected = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 10_000)
    assert_allclose(out_rna.X.toarray(), expected, rtol=1e-5)
    assert out_rna.X.dtype == np.float32
    assert list(out_rna.var_names[out_rna.var["explained"]]) == ["G0", "G1", "G3"]
    # G3: fourth gene, minus strand, [40000, 42000) on chr2; its TSS is its last base
    row = out_rna.var.loc["G3"]
    assert (row.chromosome, row.start, row.end, row.strand, row.tss) == ("chr2", 40_000, 42_000, "-", 41_999)

    assert list(out_rna.obs_names) == list(out_atac.obs_names) == list(rna.obs_names)
    assert list(out_rna.obs["split"]) == list(out_atac.obs["split"])
    assert result.multiome.uns["grids"]["paired"] is True


def test_tables_of_a_run_without_losses(run):
    result = run(*multiome())
    assert result.tasks.to_dict("list") == {
        "cell_type": ["CD8+ T", "CD8+ T", "L2/3"],
        "gene": ["G0", "G3", "G1"],
    }
    assert result.skipped.empty and list(result.skipped) == tables.SKIPPED_COLUMNS
    assert (result.cells["n_dropped"] == 0).all()
    assert set(result.cells["what"]) == {"cells", "genes", "peaks"}
    assert result.metrics["kept"].all() and len(result.metrics) == 60
    share = result.harmonisation.set_index("what")["share_matched"]
    assert share["RNA genes in the annotation"] == share["peaks on annotated chromosomes"] == 1
    assert result.annotation.empty
    assert list(result.genes) == preprocessing.GENE_COLUMNS and len(result.genes) == N_GENES


def test_accessibility_is_the_share_of_each_types_cells():
    atac = Modality(
        sparse.csr_matrix(np.array([[1, 0], [1, 1], [0, 1], [1, 0], [1, 0]], np.uint8)),
        pd.DataFrame({"cell_type": ["B", "A", "A", "B", "B"]}),
        pd.DataFrame(index=["p", "q"]),
    )
    peaks = pd.DataFrame({"chromosome": "chr1", "start": [1, 5], "end": [2, 9]}, index=["p", "q"])
    table = preprocessing.accessibility(atac, peaks)
    assert table.to_dict("list") == {
        "peak": ["p", "q"], "chromosome": ["chr1", "chr1"], "start": [1, 5], "end": [2, 9],
        "A": [0.5, 1.0], "B": [1.0, 0.0],
    }  # fmt: skip


def test_accessibility_does_not_overflow():
    atac = Modality(
        sparse.csr_matrix(np.ones((1000, 1), np.uint8)),
        pd.DataFrame({"cell_type": ["A"] * 1000}),
        pd.DataFrame(index=["p"]),
    )
    peaks = pd.DataFrame({"chromosome": ["chr1"], "start": [1], "end": [2]}, index=["p"])
    assert preprocessing.accessibility(atac, peaks)["A"].tolist() == [1.0]


def test_explained_genes_are_kept_and_silent_ones_skipped(run):
    rna, atac = multiome()
    counts = rna.X.toarray()
    counts[:, 3] = 0
    counts[:, 1] = 0
    counts[4, 1] = 2
    counts[:, 5] = 0
    counts[4, 5] = 2
    rna.X = sparse.csr_matrix(counts)
    result = run(rna, atac, quality={"min_cells_per_gene": 3}, settings={"n_variable_genes": 4})
    kept = result.multiome["rna"].var
    assert "G1" in kept.index and "G5" not in kept.index and "G3" not in kept.index
    assert kept["highly_variable"].sum() == 4 and kept.loc["G1", "explained"]
    assert len(kept) == (kept["highly_variable"] | kept["explained"]).sum()
    assert result.skipped.to_dict("records") == [
        {
            "cell_type": "CD8+ T",
            "gene": "G3",
            "reason": "gene is zero in every cell that passes quality control",
        }
    ]
    assert list(result.tasks["gene"]) == ["G0", "G1"]
    steps = result.cells.set_index("step")
    assert steps.loc["min_cells_per_gene", ["n_before", "n_dropped", "n_after"]].tolist() == [30, 2, 28]
    assert steps.loc["n_variable_genes", ["n_before", "n_after"]].tolist() == [28, len(kept)]


def test_all_genes_of_a_type_are_those_kept_and_annotated(tmp_path, run):
    write_genes(tmp_path / "genes.bed", names=[f"G{j}" for j in range(N_GENES) if j != 20])
    options = {"settings": {"n_variable_genes": 6}}
    tasks = {"L2/3": ["G1"], "Oligo": "all", "CD8+ T": ["G0"]}
    result = run(*multiome(), tasks=tasks, **options)
    kept = result.multiome["rna"].var
    variable = kept.index[kept["highly_variable"]]
    assert list(kept.index) == [f"G{j}" for j in range(N_GENES) if f"G{j}" in {"G0", "G1", *variable}]
    assert "G20" in variable
    everything = [gene for gene in kept.index if gene != "G20"]
    expected = {"L2/3": ["G1"], "Oligo": everything, "CD8+ T": ["G0"]}
    assert list(result.tasks.itertuples(index=False, name=None)) == [
        (cell_type, gene) for cell_type, genes in expected.items() for gene in genes
    ]
    assert list(kept.index[kept["explained"]]) == everything
    with pytest.raises(InputError, match=r"cell type 'Olgo' is not in the data\. Did you mean 'Oligo'"):
        run(*multiome(), tasks={"Olgo": "all"})


def test_depth_and_detection_are_kept_before_genes_and_counts_are_dropped(run):
    rna, atac = multiome()
    settings = {"quality": {"min_cells_per_peak": 20}, "settings": {"n_variable_genes": 4}}
    result = run(rna, atac, **settings)
    out_rna, out_atac = result.multiome["rna"], result.multiome["atac"]
    assert out_rna.n_vars < N_GENES and out_atac.n_vars < N_PEAKS
    assert_array_equal(out_rna.obs["n_counts"], rna.X.toarray().sum(axis=1))
    counts = sparse.csr_matrix(atac[:, out_atac.var_names].X)
    expected = detection_chance(counts, atac.obs["cell_type"].to_numpy(str))
    assert_allclose(out_atac.obs["detection"], expected)
    binary = detection_chance(sparse.csr_matrix(out_atac.X), atac.obs["cell_type"].to_numpy(str))
    assert not np.allclose(expected, binary)


def test_variable_genes_see_training_cells_only(run):
    first = run(*multiome(), tasks={}, settings={"n_variable_genes": 5})
    split = first.multiome["rna"].obs["split"].to_numpy()
    rna, atac = multiome()
    counts = rna.X.toarray()
    counts[split != "train"] = np.random.default_rng(1).permuted(counts[split != "train"], axis=1)
    rna.X = sparse.csr_matrix(counts)
    second = run(rna, atac, tasks={}, settings={"n_variable_genes": 5})
    assert list(second.multiome["rna"].obs["split"]) == list(split)
    assert list(second.multiome["rna"].var_names) == list(first.multiome["rna"].var_names)


def test_normalised_values_are_only_logged(run):
    rna, atac = multiome()
    rna.X = rna.X * np.float32(0.25)
    result = run(rna, atac, rna_values="normalized")
    assert_allclose(result.multiome["rna"].X.toarray(), np.log1p(rna.X.toarray()), rtol=1e-6)
    assert "counts" not in result.multiome["rna"].layers
    assert "n_counts" not in result.multiome["rna"].obs


def test_rare_peaks_are_dropped(run):
    rna, atac = multiome()
    n_cells = (atac.X.toarray() > 0).sum(axis=0)
    result = run(rna, atac, quality={"min_cells_per_peak": 20})
    assert set(result.multiome["atac"].var_names) == set(atac.var_names[n_cells >= 20])
    assert 0 < result.multiome["atac"].n_vars < N_PEAKS
    assert set(result.accessibility["peak"]) == set(result.multiome["atac"].var_names)


def test_unpaired_cells_keep_their_own_split(run):
    rna, atac = multiome()
    result = run(rna[:33].copy(), atac[33:].copy(), two_files=True)
    assert result.multiome.uns["grids"]["paired"] is False
    assert result.multiome["rna"].n_obs == 33 and result.multiome["atac"].n_obs == 27
    for name in ("rna", "atac"):
        table = pd.crosstab(result.multiome[name].obs["cell_type"], result.multiome[name].obs["split"])
        assert (table > 0).all().all()
    assert list(result.metrics["modality"].value_counts().loc[["rna", "atac"]]) == [33, 27]


def test_unpaired_cells_that_share_barcodes_stay_different_cells(run, tmp_path):
    rna, atac = multiome()
    result = run(rna, atac[::-1][:40].copy(), two_files=True, paired=False)
    preprocessing.write(result, {"multiome": tmp_path / "out.h5mu"})
    again = read_multiome(tmp_path / "out.h5mu")
    assert not again.paired
    assert len(again.rna.obs) == 60 and len(again.atac.obs) == 40
    assert list(again.atac.obs.index) == [f"cell{i}" for i in range(59, 19, -1)]


def test_chromosome_names_follow_the_peaks(run, tmp_path):
    write_genes(tmp_path / "genes.bed", prefix="")
    result = run(*multiome())
    assert set(result.genes["chromosome"]) == {"chr1", "chr2"}
    assert result.multiome["rna"].var.loc["G3", "chromosome"] == "chr2"


def test_genes_matched_by_id_carry_the_name_of_the_rna(run, tmp_path):
    lines = ["#chr\tstart\tend\tname\tscore\tstrand\tEnsembl_ID\tgene_type"]
    lines += [f"chr1\t{j}0000\t{j}5000\tOLD{j}\t0\t+\tENSG{j}.2\tprotein_coding" for j in range(1, 31)]
    (tmp_path / "genes.bed").write_text("\n".join(lines) + "\n")
    rna, atac = multiome()
    rna.var["gene_ids"] = [f"ENSG{j}" for j in range(1, 31)]
    result = run(rna, atac)
    assert result.multiome["rna"].var.loc["G3", "tss"] == 40_000
    assert result.genes.set_index("gene").loc["G3", "start"] == 40_000
    assert len(result.genes) == 30 and not result.genes["gene"].str.startswith("OLD").any()


def place_twice(path, gene="G3"):
    """The usual genes as GTF with ids E0, E1, ..., and one more of this name, before all others."""
    lines = [f'chr1\tx\tgene\t501\t900\t.\t+\t.\tgene_id "OTHER"; gene_name "{gene}";\n']
    for j in range(N_GENES):
        start, strand = 10_000 * (j + 1), "+" if j % 4 < 2 else "-"
        lines.append(
            f"chr{1 + j % 2}\tx\tgene\t{start + 1}\t{start + 2000}\t.\t{strand}\t.\t"
            f'gene_id "E{j}.1"; gene_name "G{j}";\n'
        )
    path.write_text("".join(lines))


def test_the_id_tells_which_of_two_places_is_meant(run, tmp_path):
    place_twice(tmp_path / "genes.bed")
    rna, atac = multiome()
    rna.var["gene_ids"] = [f"E{j}" for j in range(N_GENES)]
    result = run(rna, atac)
    place = result.genes.set_index("gene")[["chromosome", "start", "tss"]]
    assert place.loc["G3"].tolist() == ["chr2", 40_000, 41_999]
    assert place.loc["OTHER"].tolist() == ["chr1", 500, 500] and result.genes["gene"].is_unique
    assert result.multiome["rna"].var.loc["G3", "tss"] == 41_999


def test_a_name_at_two_places_is_told_and_refused_in_tasks(run, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    place_twice(tmp_path / "genes.bed")
    result = run(*multiome(), tasks={"Oligo": ["G2"]})
    assert result.multiome["rna"].var["tss"].isna().to_numpy().nonzero()[0].tolist() == [3]
    assert sorted(set(result.genes["gene"]) - {f"G{j}" for j in range(N_GENES)}) == ["E3.1", "OTHER"]
    report = result.harmonisation.set_index("what")[["n_total", "n_matched"]].astype(int)
    assert report.loc["RNA genes in the annotation"].tolist() == [30, 30]
    assert report.loc["RNA genes of the annotation at one place"].tolist() == [30, 29]
    (message,) = [m for m in caplog.messages if "several places" in m]
    assert (
        "1 genes of the RNA data" in message
        and "G3: chr1:500-900 (OTHER), chr2:40000-42000 (E3.1)" in message
    )
    with pytest.raises(
        InputError,
        match=r"^study.yaml: tasks: gene 'G3' is at several places .*chr1:500-900 .*chr2:40000.*gene_ids",
    ):
        run(*multiome())
    everything = run(*multiome(), tasks={"Oligo": "all"})
    assert "G3" not in set(everything.tasks["gene"]) and len(everything.tasks) == 29


def test_genes_without_strand_are_counted_and_told_once(run, tmp_path, genes, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    assert (
        run(*multiome()).harmonisation.set_index("what").loc["annotated genes with a strand", "share_matched"]
        == 1
    )
    assert not [m for m in caplog.messages if "strand" in m]
    lines = genes.read_text().splitlines()
    genes.write_text("\n".join(line[:-1] + ("." if j < 7 else line[-1]) for j, line in enumerate(lines)))
    row = run(*multiome()).harmonisation.set_index("what").loc["annotated genes with a strand"]
    assert (row.n_total, row.n_matched) == (30, 23)
    (message,) = [m for m in caplog.messages if "strand" in m]
    assert "7 of 30 genes have no strand (e.g. G0, G2, G4 and 4 more)" in message


def test_genes_outside_the_annotation_stay_without_coordinates(run, tmp_path):
    write_genes(tmp_path / "genes.bed", names=[f"G{j}" for j in range(28)])
    result = run(*multiome())
    assert result.multiome["rna"].var["tss"].isna().sum() == 2
    row = result.harmonisation.set_index("what").loc["RNA genes in the annotation"]
    assert (row.n_total, row.n_matched) == (30, 28)


def test_written_files_can_be_read_back(run, tmp_path):
    result = run(*multiome())
    paths = {name: tmp_path / "out" / f"{name}.tsv.gz" for name in FIELDS}
    paths["multiome"] = tmp_path / "out" / "preprocessed.h5mu"
    preprocessing.write(result, paths)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        p.name for p in paths.values()
    )

    light, full = read_multiome(paths["multiome"]), mudata.read_h5mu(paths["multiome"])
    for name in ("rna", "atac"):
        modality = getattr(light, name)
        assert_array_equal(modality.X.toarray(), result.multiome[name].X.toarray())
        assert_array_equal(full[name].X.toarray(), result.multiome[name].X.toarray())
        assert modality.X.dtype == result.multiome[name].X.dtype
        assert list(modality.var.index) == list(result.multiome[name].var_names)
        assert modality.cell_types == sorted(TYPES)
    assert light.paired
    assert set(light.rna.obs["split"]) == {"train", "validation", "test"}
    assert list(tables.read(paths["accessibility"]).columns[4:]) == sorted(TYPES)


def test_the_output_is_valid_input_and_equal_runs_write_equal_bytes(run, tmp_path, genes):
    paths = [tmp_path / "1.h5mu", tmp_path / "2.h5mu"]
    for path in paths:
        preprocessing.write(run(*multiome()), {"multiome": path})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    again = preprocessing.preprocess(config(genes, TASKS), multiome=paths[0])
    first = mudata.read_h5mu(paths[0])
    assert_array_equal(again.multiome["rna"].X.toarray(), first["rna"].X.toarray())
    assert list(again.multiome["atac"].obs["split"]) == list(first["atac"].obs["split"])


def test_annotated_cell_types(run, tmp_path):
    markers = tmp_path / "markers.tsv"
    rows = [f"{TYPES[j % 3]}\tG{j}" for j in range(6)]
    markers.write_text("cell_type\tgene\n" + "\n".join(rows) + "\n")
    rna, atac = multiome(n_cells=90)
    truth = rna.obs.pop("cell_type").to_numpy()
    del atac.obs["cell_type"]
    result = run(rna, atac, markers=markers)
    cells = result.multiome["rna"].obs
    assert len(cells) == 90 and (cells["cell_type"].to_numpy() == truth).mean() > 0.95
    assert set(result.annotation["modality"]) == {"rna", "atac"}
    report = result.harmonisation.set_index("what")
    assert report.loc["marker genes in rna", "n_matched"] == 6
    agreement = report.loc["cells whose RNA label equals the label from ATAC gene activity"]
    assert agreement.share_matched > 0.9

    unpaired = run(rna[:45].copy(), atac[45:].copy(), two_files=True, markers=markers)
    got = unpaired.multiome["atac"].obs["cell_type"]
    kept = unpaired.metrics.loc[(unpaired.metrics["modality"] == "atac") & unpaired.metrics["kept"]]
    assert len(got) == len(kept) > 40
    assert (
        got.to_numpy() == pd.Series(truth, [f"cell{i}" for i in range(90)]).loc[got.index].to_numpy()
    ).mean() > 0.9


# Bad input


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            {"Olgo": ["G0"]},
            r"^study.yaml: tasks: cell type 'Olgo' is not in the data. Did you mean 'Oligo'\? It has: CD8",
        ),
        (
            {"Oligo": ["g 0"]},
            r"^study.yaml: tasks: gene 'g 0' is not in the RNA data of .*Did you mean 'G0'.*gene_name_key",
        ),
        ({"Oligo": ["G29"]}, r"gene 'G29' is in the RNA data but not in the annotation input.genes"),
        (
            {"Oligo": ["G29", "X", "G1", "Y"]},
            r"gene 'G29' is .*\n.* gene 'X' is not .*\n.* gene 'Y' is not .*$",
        ),
        ({"A": ["G0"], "Oligo": ["G0"], "B": ["G0"]}, r"type 'A' is not .*\n.* type 'B' is not .*$"),
    ],
)
def test_tasks_that_do_not_fit(run, tmp_path, tasks, message):
    write_genes(tmp_path / "genes.bed", names=[f"G{j}" for j in range(29)])
    with pytest.raises(InputError, match=message):
        run(*multiome(), tasks=tasks)


def test_a_task_whose_type_is_lost(run):
    rna, atac = multiome()
    atac.obs["n_fragments"] = np.where(atac.obs["cell_type"] == "Oligo", np.arange(60), 100)
    with pytest.raises(
        InputError, match=r"'Oligo' has no cells left .*dropped: 17 by min_fragments, 3 by min_cells"
    ):
        run(rna, atac, tasks={"Oligo": ["G2"]}, quality={"min_fragments": 51, "min_cells_per_type": 5})


def test_nothing_left_of_peaks_or_genes(run):
    with pytest.raises(
        InputError, match=r"no peak is open in quality_control.min_cells_per_peak = 99 of 60 cells"
    ):
        run(*multiome(), quality={"min_cells_per_peak": 99})
    with pytest.raises(
        InputError, match=r"no gene is expressed in quality_control.min_cells_per_gene = 99 of 60"
    ):
        run(*multiome(), tasks={}, quality={"min_cells_per_gene": 99})


def test_peaks_and_genes_that_cannot_be_brought_together(run, tmp_path):
    write_genes(tmp_path / "genes.bed", prefix="scaffold")
    with pytest.raises(InputError, match="no chromosome in common"):
        run(*multiome())
    rna, atac = multiome()
    atac.var_names = [f"peak{j}" for j in range(N_PEAKS)]
    with pytest.raises(InputError, match=r"modality 'atac': 40 of 40 peaks have no coordinates"):
        run(rna, atac)


def test_peaks_beyond_the_end_of_the_named_assembly(run):
    rna, atac = multiome()
    atac.uns["assembly"] = "mm10"
    atac.var_names = ["chr1:999000000-999000500", *atac.var_names[1:]]
    with pytest.raises(InputError, match="beyond the end of their chromosome in mm10"):
        run(rna, atac)


def test_genes_are_needed(tmp_path):
    path = write_h5mu(tmp_path / "m.h5mu", *multiome())
    settings = config("x", TASKS)
    settings["input"]["genes"] = None
    with pytest.raises(InputError, match=r"input.genes is missing"):
        preprocessing.preprocess(settings, multiome=path)


# Split


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=5),
    test=st.floats(0.05, 0.45),
    validation=st.floats(0.05, 0.45),
    seed=st.integers(0, 100),
)
def test_every_type_is_split_by_its_shares(sizes, test, validation, seed):
    labels = np.repeat([f"type {i}" for i in range(len(sizes))], sizes)
    shares = {"train": 1 - test - validation, "validation": validation, "test": test}
    split = preprocessing.split_cells(labels, shares, np.random.default_rng(seed))
    assert_array_equal(split, preprocessing.split_cells(labels, shares, np.random.default_rng(seed)))
    for i, size in enumerate(sizes):
        of_type = split[labels == f"type {i}"]
        assert (of_type == "train").sum() >= 1
        assert size < 2 or (of_type == "test").sum() >= 1
        assert size < 4 or (of_type == "validation").sum() >= 1
        for name in ("test", "validation"):
            assert abs((of_type == name).sum() - shares[name] * size) <= 1


def test_split_shares_by_hand():
    split = preprocessing.split_cells(
        np.array(["A"] * 10 + ["B"] * 3),
        {"train": 0.7, "validation": 0.1, "test": 0.2},
        np.random.default_rng(0),
    )
    assert [(split[:10] == name).sum() for name in SPLITS] == [7, 1, 2]
    assert [(split[10:] == name).sum() for name in SPLITS] == [2, 0, 1]


# Real data


def real(name, genes, tasks, **options):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"real multiome data are not beside the repository ({DATA})")
    loose = {"min_fragments": 0, "min_cells_per_gene": 3, "min_cells_per_peak": 10, "min_cells_per_type": 20}
    return preprocessing.preprocess(config(DATA / genes, tasks, quality=loose, **options), multiome=path)


@pytest.mark.real_data
def test_mouse_cortex():
    tasks = {"Oligo": ["Mobp", "Mog"], "Astro": ["Gja1"], "Sst": ["Gad2"]}
    result = real("mouse_cortex.h5mu", "genes.mm10.bed.gz", tasks)
    # 15 types, of which Peri has 19 cells
    assert result.multiome["atac"].obs["cell_type"].nunique() == 14
    steps = result.cells.set_index("step")
    assert steps.loc["min_cells_per_type", ["n_before", "n_dropped"]].tolist() == [10_309, 19]
    assert result.multiome["atac"].shape == (10_290, 16_265)
    share = result.harmonisation.set_index("what")["share_matched"]
    assert share["peaks on annotated chromosomes"] == 1 and share["RNA genes in the annotation"] > 0.95
    assert len(result.tasks) == 4 and result.skipped.empty


@pytest.mark.real_data
def test_pbmc_with_three_normalised_genes():
    tasks = {"CD4 Naive": ["CCR7"]}
    result = real("pbmc_three_genes.h5mu", "genes.hg38.bed.gz", tasks, rna_values="normalized")
    assert list(result.multiome["rna"].var_names) == ["CCR7", "ZEB2", "HLA-DQB1"]
    assert result.cells.set_index("step").loc["min_genes", "n_dropped"] == 1_644


@pytest.mark.real_data
def test_pbmc_annotated_from_a_handful_of_genes():
    result = real(
        "pbmc_45_genes.h5mu", "genes.hg38.bed.gz", {"CD14+ monocyte": ["VCAN"]}, markers="human_blood"
    )
    cells = result.multiome["rna"]
    counts = pd.DataFrame(cells.layers["counts"].toarray(), columns=cells.var_names)
    means = counts.groupby(cells.obs["cell_type"].to_numpy()).mean()
    # IGHM and CST3 tell types apart and are not among the markers
    assert means["VCAN"].idxmax() == means["S100A8"].idxmax() == "CD14+ monocyte"
    assert means["MS4A1"].idxmax() == means["IGHM"].idxmax() == "B"
    assert means["GNLY"].idxmax() == "NK"
    assert (
        means["CD8A"].idxmax() == "CD8+ T" and means["CST3"].nlargest(2).index.str.contains("monocyte").all()
    )
