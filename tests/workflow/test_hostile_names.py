"""Names to break out, and names that are words of tables and config: all are names, here and in a second run."""

import hashlib
import re
import subprocess

import numpy as np
import pytest
import yaml
from builders import multiome, peak_name, write_h5mu
from numpy.testing import assert_allclose
from running import OPTIONS, command, succeed
from track_formats import read_bedpe

from grids.analysis.evidence.pairs import CONTACT_EXPONENT, CONTACT_FLOOR_BP
from grids.io import tables
from grids.io.cells import read_multiome
from grids.io.names import escape

# Of each of the builder's types the even cells and the odd ones.
TYPES = {
    "CD8+ T": ("$(touch touched)", "all"),
    "L2/3": ("..", "state"),
    "Oligo": ("../../{cell_type}; 'é\" `touch touched` #" + "y" * 300, "joint"),
}
HOSTILE = TYPES["Oligo"][0]
GENES = {
    "G0": "all",
    "G1": "NA",
    "G2": "../../../z; touch touched & é/{gene}$(touch touched)" + "g" * 300,
}
FILE = "cells; touch touched $(touch touched) 'é'.h5mu"
CONFIG = {
    "run": "hostile-1.0",
    "input": {"multiome": FILE, "genes": "genes $(touch touched).bed"},
    "quality_control": {
        "min_fragments": 1, "min_genes": 1, "min_cells_per_gene": 1, "min_cells_per_peak": 1, "min_cells_per_type": 3,
    },
    "surrogate": {
        "model": "cross_modality",
        "max_epochs": dict.fromkeys(("atac", "rna", "mapping", "specialisation"), 0),
    },
    "gate": {"force": True},
    "search": {"scope": "window", "set_size": 1, "restarts": 1},
    "tasks": {HOSTILE: [GENES["G2"]], "state": ["all"]},
    "evidence": [{"name": "1e5", "path": "links.tsv"}],
}  # fmt: skip


def write_inputs(folder):
    rna, atac = multiome()
    rna.var_names = [GENES.get(name, name) for name in rna.var_names]
    for part in (rna, atac):
        kinds = part.obs["cell_type"].astype(str)
        part.obs["cell_type"] = [TYPES[kind][i % 2] for i, kind in enumerate(kinds)]
    write_h5mu(folder / FILE, rna, atac)
    lines = [
        f"chr{1 + j % 2}\t{10_000 * (j + 1)}\t{10_000 * (j + 1) + 2000}\t{name}\t0\t+\n"
        for j, name in enumerate(rna.var_names)
    ]
    (folder / CONFIG["input"]["genes"]).write_text("".join(lines))
    chromosome, start, end = re.split("[:-]", peak_name(0))
    (folder / "links.tsv").write_text(f"chr\tstart\tend\tgene\n{chromosome}\t{start}\t{end}\tall\n")


def check_words(run):
    """Types called as words of the tables have their own rows, columns and numbers."""
    cells = read_multiome(run.folder / "preprocessed.h5mu").atac
    n_test = cells.obs.loc[cells.obs["split"] == "test", "cell_type"].value_counts()
    quality = run.table("surrogate/quality.tsv")
    n_cells = quality.groupby("cell_type", dropna=False)["n_cells"].agg(["min", "max"])
    assert (n_cells.loc["all"] == n_test["all"]).all() and (n_cells.loc[[np.nan]] == n_test.sum()).all(
        axis=None
    )
    shares = tables.read_accessibility(run.folder / "accessibility.tsv.gz").set_index("peak")
    pairs = run.table("evidence_pairs.tsv.gz")
    assert set(pairs["evidence"]) == {"1e5"} and set(pairs["cell_type"]) == {"state"}
    assert set(pairs["gene"]) == {"all"} and pairs["peak"][pairs["is_positive"]].tolist() == [peak_name(0)]
    for cell_type in ("all", "state"):
        opened = cells.X[(cells.obs["cell_type"] == cell_type).to_numpy()].toarray().mean(0)
        assert_allclose(shares[cell_type], opened, rtol=1e-5)
    contact = np.maximum(pairs["distance_to_tss_bp"].abs(), CONTACT_FLOOR_BP) ** -CONTACT_EXPONENT
    expected = shares.loc[pairs["peak"], "state"].to_numpy() * contact
    assert_allclose(pairs["accessibility_over_distance"], expected, rtol=1e-5)


@pytest.mark.workflow
def test_hostile_names_stay_names(tmp_path):
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    write_inputs(folder)
    track = f"tracks/{escape(HOSTILE)}.bedpe"
    targets = ("sets.tsv", track, "evidence.tsv", "surrogate/quality.tsv", "provenance.yaml")
    run = succeed(folder, CONFIG, *targets)
    tasks = run.table("sets.tsv")[["cell_type", "gene"]].itertuples(index=False, name=None)
    assert set(tasks) == {(HOSTILE, GENES["G2"]), ("state", "all")}
    assert len(read_bedpe(run.folder / track)) == 1
    check_words(run)
    # Nothing was run, and nothing lies outside the folder of the run but the inputs and what Snakemake keeps.
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(tmp_path.rglob("touched"))
    outside = {path.as_posix() for path in made if path.parts[3:5] != ("results", CONFIG["run"])}
    kept = {f"a/b/c/{name}" for name in (FILE, CONFIG["input"]["genes"], "links.tsv", "study.yaml")}
    assert {path for path in outside if ".snakemake" not in path} == kept
    # What made the results is known, and makes the same ones: nothing is left to do.
    provenance = yaml.safe_load((run.folder / "provenance.yaml").read_text())
    inputs = {f"input.{key}": name for key, name in CONFIG["input"].items()} | {"evidence '1e5'": "links.tsv"}
    assert provenance["inputs"] == {
        key: {
            "path": name,
            "bytes": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for key, name in inputs.items()
    }
    targets = [f"results/{CONFIG['run']}/{name}" for name in targets]
    for options, done in (([], True), (["--config", "seed=2"], False)):
        again = subprocess.run(
            command(*targets, "-n", *OPTIONS, "--configfile", run.folder / "provenance.yaml", *options),
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert again.returncode == 0, again.stderr[-2000:]
        assert ("Nothing to be done" in again.stdout + again.stderr) == done
