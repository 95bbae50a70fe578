"""The same cells in every format and dialect that is read: the same data come out of preprocessing."""

import contextlib
import functools
import gzip
import hashlib
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from builders import config as complete_config
from builders import write_10x, write_h5ad, write_h5mu
from numpy.testing import assert_array_equal
from running import run, succeed, updated

from grids.data.intervals import link_windows
from grids.data.preprocessing import preprocess
from grids.data.preprocessing import write as write_parts
from grids.data.simulation import Design, simulate_multiome
from grids.io import tables
from grids.io.cells import read_multiome

pytestmark = pytest.mark.workflow

TYPES = ["Astrocyte", "Excitatory", "Inhibitory"]
CONFIG = {
    "run": "study",
    "input": {},
    "quality_control": {"min_fragments": 1, "min_genes": 1, "min_cells_per_peak": 1},
    "preprocessing": {"n_variable_genes": 50},
    "tasks": {"Excitatory": ["MULTI1"], "Astrocyte": ["SINGLE2"]},
}


@pytest.fixture(scope="module")
def simulation():
    return simulate_multiome(Design(450, 600, 60, 3), 3)


@pytest.fixture(scope="module")
def parts(simulation):
    """RNA and ATAC, with the names of one cell for both."""
    return tuple(simulation.mdata[name].copy() for name in ("rna", "atac"))


def write_bed(path, genes):
    genes.to_csv(path, sep="\t", index=False, header=False)
    return path


def write_gtf(path, genes):
    """Lines of genes and of their transcripts with one exon, 1-based, gzipped, chromosomes without ``chr``."""
    lines = ["#!genome-build test\n"]
    for gene in genes.itertuples():
        attributes = f'gene_id "ID_{gene.gene}"; gene_name "{gene.gene}";'
        for feature in ("gene", "transcript", "exon"):
            name = "" if feature == "gene" else f' transcript_id "T_{gene.gene}";'
            place = f"{gene.chromosome.removeprefix('chr')}\ttest\t{feature}\t{gene.start + 1}\t{gene.end}"
            lines.append(f"{place}\t.\t{gene.strand}\t.\t{attributes}{name}\n")
    path.write_bytes(gzip.compress("".join(lines).encode()))
    return path


def write_markers(path, rna):
    """For each type the genes whose mean is highest there, relative to the next type."""
    means = pd.DataFrame(rna.X.toarray(), columns=rna.var_names).groupby(rna.obs["cell_type"].to_numpy())
    means = np.log1p(means.mean())
    rows = []
    for cell_type in means.index:
        lead = means.loc[cell_type] - means.drop(cell_type).max()
        rows += [(cell_type, gene) for gene in lead.nlargest(5).index]
    pd.DataFrame(rows, columns=["cell_type", "gene"]).to_csv(path, sep="\t", index=False)
    return path


def renamed(atac, pattern, drop=""):
    """The same peaks with names of another dialect."""
    other = atac.copy()
    names = atac.var_names.str.removeprefix(drop).str.extract(r"(.*):(\d+)-(\d+)")
    other.var_names = [pattern.format(*fields) for fields in names.to_numpy()]
    return other


def as_h5mu(folder, rna, atac, genes):
    return {
        "multiome": write_h5mu(folder / "cells.h5mu", rna, atac),
        "genes": write_bed(folder / "g.bed", genes),
    }


def as_10x(folder, rna, atac, genes):
    """A 10x file has no cell types: they are annotated with markers."""
    return {
        "multiome": write_10x(folder / "cells.h5", rna, atac),
        "genes": write_bed(folder / "g.bed", genes),
        "markers": write_markers(folder / "markers.tsv", rna),
    }


def as_two_files(folder, rna, atac, genes):
    """The ATAC cells come in another order."""
    return {
        "rna": write_h5ad(folder / "rna.h5ad", rna),
        "atac": write_h5ad(folder / "atac.h5ad", atac[::-1].copy()),
        "genes": write_bed(folder / "g.bed", genes),
    }


def as_gtf_and_underscores(folder, rna, atac, genes):
    """The annotation has no ``chr``, the peaks have it."""
    return {
        "multiome": write_h5mu(folder / "cells.h5mu", rna, renamed(atac, "{}_{}_{}")),
        "genes": write_gtf(folder / "genes.gtf.gz", genes),
    }


def as_bare_chromosomes_and_dashes(folder, rna, atac, genes):
    """The peaks have no ``chr``, the annotation has it."""
    return {
        "multiome": write_h5mu(folder / "cells.h5mu", rna, renamed(atac, "{}-{}-{}", drop="chr")),
        "genes": write_bed(folder / "g.bed", genes),
    }


FORMATS = [as_h5mu, as_10x, as_two_files, as_gtf_and_underscores, as_bare_chromosomes_and_dashes]


@dataclass(frozen=True)
class Prepared:
    """What comes out of preprocessing and of the linking of windows."""

    folder: Path

    def table(self, path: str):
        return tables.read(self.folder / path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, parts, simulation):
    """Every format, preprocessed and linked."""

    def prepare(write):
        folder = tmp_path_factory.mktemp(write.__name__)
        inputs = write(folder, *parts, simulation.genes)
        settings = complete_config(
            inputs.pop("genes"),
            CONFIG["tasks"],
            quality=CONFIG["quality_control"],
            settings=CONFIG["preprocessing"],
            **inputs,
        )
        done = preprocess(settings)
        names = ["genes", "accessibility", "tasks", "harmonisation", "annotation"]
        write_parts(
            done, {"multiome": folder / "preprocessed.h5mu"} | {n: folder / f"{n}.tsv" for n in names}
        )
        tables.write(link_windows(done.accessibility, done.genes), folder / "windows.tsv")
        return Prepared(folder)

    return {write.__name__: prepare(write) for write in FORMATS}


@pytest.mark.parametrize("name", [write.__name__ for write in FORMATS[1:]])
def test_every_format_yields_the_same_data(runs, name):
    reference, other = runs["as_h5mu"], runs[name]
    bare = name == "as_bare_chromosomes_and_dashes"
    for table, keys in (
        ("windows.tsv", ["peak", "gene", "start", "end", "distance_to_tss_bp", "is_promoter"]),
        ("tasks.tsv", ["cell_type", "gene"]),
        ("accessibility.tsv", ["peak", "start", "end"]),
        ("genes.tsv", ["gene", "chromosome", "start", "end", "strand", "tss"]),
    ):
        expected, got = reference.table(table)[keys], other.table(table)[keys]
        for column in {"peak", "chromosome"} & set(keys):
            got[column] = "chr" + got[column] if bare else got[column]
        pd.testing.assert_frame_equal(got, expected)

    expected, got = (read_multiome(run.folder / "preprocessed.h5mu") for run in (reference, other))
    assert got.paired
    for modality in ("rna", "atac"):
        a, b = getattr(expected, modality), getattr(got, modality)
        rows = b.obs.index.get_indexer(a.obs.index)
        assert len(a.obs) == len(b.obs) and (rows >= 0).all()
        if modality == "atac":  # the variable genes depend on the split, which follows the cell types
            assert (b.X[rows] != a.X).nnz == 0
        share = (a.obs["cell_type"].to_numpy() == b.obs["cell_type"].to_numpy()[rows]).mean()
        assert share == 1 if name != "as_10x" else share > 0.95


def test_windows_agree_with_the_simulations_own_places(runs, simulation):
    """The candidate peaks of a planted gene were placed within 200 kb of it."""
    windows = runs["as_gtf_and_underscores"].table("windows.tsv")
    pairs = set(zip(windows["gene"], windows["peak"], strict=True))
    planted = simulation.truth[["gene", "peak"]].itertuples(index=False, name=None)
    assert set(planted) <= pairs
    near = windows.merge(simulation.truth[["gene", "peak"]])["distance_to_tss_bp"].abs()
    assert near.max() <= 201_000


def test_harmonisation_is_reported(runs):
    for name, run_ in runs.items():
        share = run_.table("harmonisation.tsv").set_index("what")["share_matched"]
        assert share["peaks on annotated chromosomes"] == 1, name
        assert share["RNA genes in the annotation"] == 1, name
    share = runs["as_10x"].table("harmonisation.tsv").set_index("what")["share_matched"]
    assert share["rna cells annotated"] == 1 and share["marker genes in rna"] == 1
    clusters = runs["as_10x"].table("annotation.tsv")
    assert set(clusters["cell_type"]) >= set(TYPES)
    assert runs["as_h5mu"].table("annotation.tsv").empty


def test_a_10x_file_and_a_table_of_markers_are_inputs_of_a_run(tmp_path, parts, simulation):
    inputs = {key: path.name for key, path in as_10x(tmp_path, *parts, simulation.genes).items()}
    done = succeed(tmp_path, updated(CONFIG, {"input": inputs}), "tasks.tsv")
    assert done.jobs == {"preprocess": 1}
    assert set(done.table("quality_control/annotation.tsv")["cell_type"]) >= set(TYPES)
    assert done.table("tasks.tsv")["gene"].tolist() == ["MULTI1", "SINGLE2"] * 2  # across types, too


def test_other_cells_with_shared_labels_run_to_the_end(tmp_path, parts, simulation):
    """RNA of some cells, ATAC of others, under barcodes that happen to agree."""
    rna, atac = parts[0][:220].copy(), parts[1][220:].copy()
    rna.obs_names = [f"barcode{i}" for i in range(rna.n_obs)]
    atac.obs_names = [f"barcode{i}" for i in range(atac.n_obs)]
    write_h5ad(tmp_path / "rna.h5ad", rna)
    write_h5ad(tmp_path / "atac.h5ad", atac)
    write_bed(tmp_path / "g.bed", simulation.genes)
    changes = {
        "input": {"rna": "rna.h5ad", "atac": "atac.h5ad", "genes": "g.bed", "paired": False},
        "tasks": {"Excitatory": ["MULTI1", "SINGLE2"]},
        "surrogate": {
            "model": "cross_modality",
            "max_epochs": {"atac": 1, "rna": 2, "mapping": 3, "specialisation": 2},
        },
        "search": {"set_size": 2, "restarts": 1},
        "effects": {"n_null_sets": 20},
        "redundancy": {"n_bootstrap": 20, "n_stability": 0, "max_alternatives": 0},
    }
    # everything is drawn that has to do without observed expression
    done = succeed(tmp_path, updated(CONFIG, changes))
    assert (done.folder / "report.html").is_file() and done.table("links/Excitatory.tsv.gz").empty
    data = read_multiome(done.folder / "preprocessed.h5mu")
    assert not data.paired and (len(data.rna.obs), len(data.atac.obs)) == (220, 230)
    assert set(done.table("quality_control/metrics.tsv.gz")["modality"]) == {"rna", "atac"}
    losses = set(done.table("surrogate/curves.tsv")["loss"])
    assert "supervised" not in losses and "pseudobulk" in losses
    quality = done.table("surrogate/quality_summary.tsv")
    # what needs a cell's own expression is left out
    assert list(quality["model"]) == ["cross_modality", "gene_mean", "cell_type_mean"]
    # no prediction meets its own observation: nothing can be judged, and everything passes
    gate = done.table("gate.tsv")
    assert (gate["reason"] == "not judged: cells are unpaired").all() and gate["passed_gate"].isna().all()
    assert done.table("skipped.tsv").empty
    effects = done.table("effects.tsv")
    assert effects["log_change"].notna().all() and effects["n_cells"].gt(0).all()
    assert list(effects["gene"].unique()) == ["MULTI1", "SINGLE2"]
    assert done.table("cells.tsv.gz")["observed"].isna().all()
    test = data.atac.cells(split="test", cell_type="Excitatory").obs.index
    assert_array_equal(done.table("cells.tsv.gz").query("gene == 'MULTI1'")["cell"], test)


# Downloads


@contextlib.contextmanager
def served(folder):
    """The folder on a local web server; yields its address and the paths asked for."""
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def test_urls_are_downloaded_once_and_checked(tmp_path, monkeypatch, parts, simulation):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    public, study = tmp_path / "public", tmp_path / "study"
    public.mkdir()
    as_h5mu(public, *parts, simulation.genes)
    md5, sha256 = (
        hashlib.new(kind, (public / name).read_bytes()).hexdigest()
        for kind, name in (("md5", "cells.h5mu"), ("sha256", "g.bed"))
    )
    with served(public) as (address, asked):
        inputs = {
            "multiome": f"{address}/cells.h5mu",
            "genes": f"{address}/g.bed",
            "checksums": {"multiome": f"md5:{md5}", "genes": f"sha256:{'0' * 64}"},
        }
        config = updated(CONFIG, {"input": inputs})
        refused = run(study, config, "tasks.tsv")
        assert refused.status != 0
        assert refused.last_line.startswith("results/study/logs/download/g.bed.log: http://127.0.0.1")
        for words in (f"sha256 sum of the downloaded file is {sha256}", f"expected {'0' * 64}", "checksums"):
            assert words in refused.last_line
        left = {path.name for path in (study / "results/study/downloads").glob("*")}
        assert left <= {"cells.h5mu"} and not (study / "results/study/preprocessed.h5mu").exists()

        config["input"]["checksums"]["genes"] = f"sha256:{sha256}"
        done = succeed(study, config, "tasks.tsv")
    assert done.jobs["preprocess"] == 1 and asked.count("/cells.h5mu") == 1
    assert (done.folder / "downloads/cells.h5mu").read_bytes() == (public / "cells.h5mu").read_bytes()
    assert list(done.table("tasks.tsv")["gene"]) == ["MULTI1", "SINGLE2"] * 2
