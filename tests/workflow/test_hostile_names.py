"""Cell types, genes and files named to break out: everything runs, stays where it belongs, and can be run again."""

import hashlib
import subprocess

import pytest
import yaml
from builders import multiome, write_h5mu
from running import OPTIONS, command, succeed

from grids.names import escape

TYPES = {
    "CD8+ T": "$(touch touched)",
    "L2/3": "..",
    "Oligo": "../../{cell_type}; 'é\" `touch touched` #" + "y" * 300,
}
GENES = {"G2": "../../../z; touch touched & é/{gene}$(touch touched)" + "g" * 300}
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
    "tasks": {TYPES["Oligo"]: [GENES["G2"]]},
}  # fmt: skip


def write_inputs(folder):
    rna, atac = multiome()
    rna.var_names = [GENES.get(name, name) for name in rna.var_names]
    for part in (rna, atac):
        part.obs["cell_type"] = part.obs["cell_type"].astype(str).map(TYPES)
    write_h5mu(folder / FILE, rna, atac)
    lines = [
        f"chr{1 + j % 2}\t{10_000 * (j + 1)}\t{10_000 * (j + 1) + 2000}\t{name}\t0\t+\n"
        for j, name in enumerate(rna.var_names)
    ]
    (folder / CONFIG["input"]["genes"]).write_text("".join(lines))


@pytest.mark.workflow
def test_hostile_names_stay_names(tmp_path):
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    write_inputs(folder)
    track = f"tracks/{escape(TYPES['Oligo'])}.bedpe"
    run = succeed(folder, CONFIG, "sets.tsv", track, "provenance.yaml")
    assert run.table("sets.tsv")[["cell_type", "gene"]].to_numpy().tolist() == [[TYPES["Oligo"], GENES["G2"]]]
    assert len((run.folder / track).read_text().splitlines()) == 2  # a header and one arc
    # Nothing was run, and nothing lies outside the folder of the run but the inputs and what Snakemake keeps.
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert not list(tmp_path.rglob("touched"))
    outside = {path.as_posix() for path in made if path.parts[3:5] != ("results", CONFIG["run"])}
    inputs = {f"a/b/c/{name}" for name in (FILE, CONFIG["input"]["genes"], "study.yaml")}
    assert {path for path in outside if ".snakemake" not in path} == inputs
    # What made the results is known, and makes the same ones: nothing is left to do.
    provenance = yaml.safe_load((run.folder / "provenance.yaml").read_text())
    assert provenance["inputs"] == {
        f"input.{key}": {
            "path": name,
            "bytes": (folder / name).stat().st_size,
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for key, name in CONFIG["input"].items()
    }
    targets = [f"results/{CONFIG['run']}/{name}" for name in ("sets.tsv", track, "provenance.yaml")]
    for options, done in (([], True), (["--config", "seed=2"], False)):
        again = subprocess.run(
            command(*targets, "-n", *OPTIONS, "--configfile", run.folder / "provenance.yaml", *options),
            cwd=folder,
            capture_output=True,
            text=True,
        )
        assert again.returncode == 0, again.stderr[-2000:]
        assert ("Nothing to be done" in again.stdout + again.stderr) == done
