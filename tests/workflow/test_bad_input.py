"""What a user reads when something is wrong: one line, last, with what, where and how to go on."""

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from builders import config as complete_config
from builders import multiome, write_genes, write_h5ad, write_h5mu
from running import run, updated

from grids.data.preprocessing import preprocess
from grids.io.errors import InputError

QUALITY = {
    "min_fragments": 1,
    "min_genes": 1,
    "min_cells_per_gene": 1,
    "min_cells_per_peak": 1,
    "min_cells_per_type": 3,
}
STUDY = {
    "run": "bad",
    "input": {"multiome": "cells.h5mu", "genes": "genes.bed"},
    "quality_control": QUALITY,
    "tasks": {"Oligo": ["G2"]},
}
PREPROCESS = r"results/bad/logs/preprocess.log: "


def whole(folder):
    """The files of STUDY."""
    write_h5mu(folder / "cells.h5mu", *multiome())
    write_genes(folder / "genes.bed")


def truncated(folder):
    whole(folder)
    path = folder / "cells.h5mu"
    path.write_bytes(path.read_bytes()[:20_000])


def two_files(folder):
    whole(folder)
    rna, atac = multiome()
    atac.obs_names = [f"nucleus{i}" for i in range(atac.n_obs)]
    write_h5ad(folder / "rna.h5ad", rna)
    write_h5ad(folder / "atac.h5ad", atac)


TWO_FILES = {"multiome": None, "rna": "rna.h5ad", "atac": "atac.h5ad"}
# How the data and the config are spoiled, and the last line that follows.
RUNS = {
    "a missing key": (
        whole,
        {"tasks": None},
        r"error: study.yaml: 'tasks' is missing; give genes per cell type, \{Oligo: \[MOBP, MOG\]\}, or .*",
    ),
    "a truncated file": (
        truncated,
        {},
        PREPROCESS
        + r"input.multiome: 'cells.h5mu': truncated or corrupt \(.*\); fetch or write the file again",
    ),
    "supervision without pairs": (
        two_files,
        {"input": TWO_FILES, "surrogate": {"model": "cross_modality", "supervised": True}},
        r"results/bad/logs/train_surrogate.log: surrogate.supervised is true, but the cells are not paired; "
        r"set it to false or null",
    ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """All of them, two at a time."""

    # before the threads: the first of them to ask makes the folder of all anew
    folders = {name: tmp_path_factory.mktemp(name.replace(" ", "_")) for name in RUNS}

    def start(name):
        (spoil, changes, _), folder = RUNS[name], folders[name]
        spoil(folder)
        study = {key: value for key, value in updated(STUDY, changes).items() if value is not None}
        return run(folder, study, "figures/effect_by_set_size.png", options=["--cores", "1"])

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(RUNS, pool.map(start, RUNS), strict=True))


@pytest.mark.workflow
@pytest.mark.parametrize("name", RUNS)
def test_the_last_line_says_what_is_wrong(runs, name):
    ended, (_, _, expected) = runs[name], RUNS[name]
    assert ended.status == 1
    assert re.fullmatch(expected, ended.last_line), ended.told[-3000:]
    assert "Traceback" not in ended.told
    # Of the job that failed nothing is left but its log and Snakemake's own notes.
    failed = re.match(r"results/bad/logs/(\w+)", ended.last_line)
    made = {path.relative_to(ended.folder).as_posix() for path in ended.folder.rglob("*") if path.is_file()}
    assert not [path for path in made if path.rpartition("/")[2].startswith(".")]
    data = {path for path in made if not path.startswith(("logs/", "benchmarks/"))}
    if failed is None or failed[1] == "preprocess":
        assert not data
    else:
        assert "preprocessed.h5mu" in data and not [path for path in data if path.startswith("surrogate")]


# Through the library: what the unit tests of reading, annotation and quality control leave out.


def message(folder, rna, atac, tasks=None, names=None, **options):
    """The line that a user reads whose data are these."""
    genes = write_genes(folder / "genes.bed", names=names)
    path = write_h5mu(folder / "cells.h5mu", rna, atac)
    settings = complete_config(genes, tasks or {"Oligo": ["G2"]}, multiome=path, **options)
    with pytest.raises(InputError) as error:
        preprocess(settings, source="study.yaml")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_an_unknown_cell_type(tmp_path):
    told = message(tmp_path, *multiome(), tasks={"Olgo": ["G2"]})
    assert re.fullmatch(
        r"study.yaml: tasks: cell type 'Olgo' is not in the data. Did you mean 'Oligo'\? It has: .*", told
    )


def test_a_gene_absent_from_the_annotation(tmp_path):
    told = message(tmp_path, *multiome(), tasks={"Oligo": ["G29"]}, names=[f"G{j}" for j in range(29)])
    assert re.fullmatch(
        r"study.yaml: tasks: gene 'G29' is in the RNA data but not in the annotation input.genes; "
        r"use an annotation that has it .*",
        told,
    )


def test_negative_counts(tmp_path):
    rna, atac = multiome()
    rna.X.data[3] = -2
    told = message(tmp_path, rna, atac)
    assert "cells.h5mu', modality 'rna': negative RNA values (for example -2)" in told


def test_pairs_that_are_none(tmp_path):
    two_files(tmp_path)
    files = {"rna": tmp_path / "rna.h5ad", "atac": tmp_path / "atac.h5ad"}
    settings = complete_config(write_genes(tmp_path / "genes.bed"), {"Oligo": ["G2"]}, **files)
    settings["input"]["paired"] = True
    with pytest.raises(InputError) as error:
        preprocess(settings, source="study.yaml")
    assert re.fullmatch(
        r"input.rna: '.*rna.h5ad'.* and input.atac: '.*atac.h5ad'.*: input.paired is true but no cell "
        r"name is in both \(RNA 'cell0', ATAC 'nucleus0'\); rename the cells so that names of the same cell are equal, "
        r"or, if these are different cells, set input.paired: false",
        str(error.value),
    )


def test_a_cell_type_without_cells(tmp_path):
    rna, atac = multiome()
    for part in (rna, atac):
        part.obs["cell_type"] = part.obs["cell_type"].astype("category").cat.add_categories("Ghost")
    told = message(tmp_path, rna, atac, tasks={"Ghost": ["G2"]})
    assert told == "study.yaml: tasks: cell type 'Ghost' is not in the data. It has: CD8+ T, L2/3, Oligo"


def test_no_cell_has_a_type(tmp_path):
    rna, atac = multiome()
    for part in (rna, atac):
        part.obs["cell_type"] = np.nan
    assert "cell_type_key 'cell_type'" in message(tmp_path, rna, atac)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_atac_that_is_not_finite(tmp_path, value):
    rna, atac = multiome()
    atac.X = atac.X.astype(np.float32)
    atac.X.data[5] = value
    told = message(tmp_path, rna, atac)
    assert "modality 'atac'" in told and "ATAC values hold NaN or infinity; expected finite values" in told


def test_fractions_in_an_annotated_matrix_of_counts(tmp_path):
    rna, atac = multiome()
    rna.X = rna.X.astype(np.float32) * 0.5
    told = message(tmp_path, rna, atac)
    assert "modality 'rna'" in told and "RNA values are not whole numbers" in told
    assert "set input.rna_values: normalized" in told


def test_no_gene_of_the_tasks_is_ever_expressed(tmp_path):
    rna, atac = multiome()
    counts = rna.X.toarray()
    counts[:, [2, 5]] = 0
    rna.X = type(rna.X)(counts)
    told = message(tmp_path, rna, atac, tasks={"Oligo": ["G2", "G5"]})
    assert told == (
        "study.yaml: tasks: every gene is zero in all cells that pass quality control (G2, G5); choose other "
        "genes or relax the thresholds"
    )


def test_coordinates_beyond_the_end_of_the_chromosomes_of_the_declared_assembly(tmp_path):
    rna, atac = multiome()
    atac.var_names = ["chr1:300000000-300000500", *atac.var_names[1:]]
    told = message(tmp_path, rna, atac, assembly="hg38")
    assert "1 of 40 peaks lie beyond the end of their chromosome in hg38" in told
    assert "chr1:300000000-300000500, chromosome size 248956422" in told
