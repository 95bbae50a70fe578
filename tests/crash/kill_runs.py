"""Kill the workflow at random moments of every stage, run the same command again, and compare with undisturbed runs.

    bash envs/run python tests/crash/kill_runs.py --kills 50

Runs small simulated studies, one with each surrogate, undisturbed at first. Then Snakemake and all its jobs
are killed with SIGKILL a random while after their start, and started again with the same command, until a run ends by
itself; its tables must then be those of the undisturbed run. Rounds go on until there were as many kills as asked for
and every rule has been killed at work, or, with `--minutes`, until the time is over. A lock that a killed Snakemake has
left is lifted as Snakemake says (`--unlock`). Exits with 1 when a table differs or a run fails.
"""

import argparse
import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).parents[2]
STUDY = {
    "seed": 1,
    "input": {"simulation": {"n_cells": 600, "n_peaks": 1500, "n_genes": 120, "n_cell_types": 2}},
    "quality_control": {"min_fragments": 30, "min_genes": 10, "min_tss_enrichment": 0},
    "windows": {"window_bp": 50_000},
    "tasks": {"Excitatory": ["SINGLE1"], "Inhibitory": ["SINGLE2"]},
    "gate": {"force": True},
    "search": {"scope": "window", "set_size": 3, "restarts": 1},
    "effects": {"n_null_sets": 20},
    "redundancy": {"n_bootstrap": 20, "n_stability": 2, "max_alternatives": 1},
}
STUDIES = {
    "window": {
        "surrogate": {"model": "window"},
        "window_surrogate": {"member_penalties": [1], "n_draws": 4},
    },
    "cross_modality": {
        "surrogate": {
            "model": "cross_modality",
            "max_epochs": {"atac": 2, "rna": 2, "mapping": 10, "specialisation": 4},
        }
    },
}
# Times are of the machine, and what is said of a run is of the run.
TIMES = ["objective_seconds", "seconds"]
NOT_COMPARED = ("benchmarks", "logs")
JOB_STARTED = re.compile(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    jobid: (\d+)", re.MULTILINE)
JOB_ENDED = re.compile(r"^Finished jobid: (\d+)", re.MULTILINE)
LEAST_DELAY, LONGEST_DELAY = 2.0, 45.0


def command(*more: str) -> list[str]:
    """What a user would type; the same before and after a crash."""
    snakefile = str(ROOT / "Snakefile")
    options = ["--cores", "2", "--rerun-incomplete", "--configfile", "study.yaml", "--snakefile", snakefile]
    return [sys.executable, "-m", "snakemake", *options, *more]


class Study:
    """A folder in which one study is run.

    Attributes
    ----------
    kills : Counter
        Of rules that were at work when they were killed.
    """

    def __init__(self, folder: Path, config: dict):
        self.folder, self.told = folder, folder / "told.txt"
        self.kills = Counter()
        folder.mkdir(parents=True)
        (folder / "study.yaml").write_text(yaml.safe_dump(config))

    def run(self, kill_after: float | None = None) -> bool:
        """Run until it ends by itself; False when it was killed before, `kill_after` seconds after its start.

        Raises
        ------
        RuntimeError
            When the run fails by itself.
        """
        with self.told.open("w") as told:
            process = subprocess.Popen(
                command(), cwd=self.folder, stdout=told, stderr=subprocess.STDOUT, start_new_session=True
            )
            try:
                process.wait(timeout=kill_after)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                self.kills.update(self.at_work())
                return False
            except BaseException:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise RuntimeError(f"the run failed by itself:\n{self.told.read_text()[-3000:]}")
        return True

    def at_work(self) -> list[str]:
        """Rules whose jobs had begun and not ended."""
        told = self.told.read_text()
        ended = set(JOB_ENDED.findall(told))
        return [rule for rule, job in JOB_STARTED.findall(told) if job not in ended]

    def unlock(self) -> None:
        subprocess.run(command("--unlock"), cwd=self.folder, check=True, capture_output=True)

    def tables(self) -> dict[str, str]:
        """The content of every table of the results, by its path."""
        results = self.folder / "results"
        found = {}
        for path in sorted([*results.rglob("*.tsv"), *results.rglob("*.tsv.gz")]):
            name = str(path.relative_to(results))
            if not set(NOT_COMPARED) & set(path.parts):
                found[name] = (
                    pd.read_csv(path, sep="\t", dtype=str).drop(columns=TIMES, errors="ignore").to_csv()
                )
        return found

    def leftovers(self) -> list[str]:
        """Half-written files among the results."""
        results = self.folder / "results"
        return [str(p) for p in results.rglob("*") if p.suffix in (".part", ".tmp", ".checkpoints")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="kills at least, over both studies")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no new round after this time"
    )
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill_runs_") as folder:
        return kill_runs(Path(folder), arguments)


def kill_runs(folder: Path, arguments: argparse.Namespace) -> int:
    """Run the studies, disturbed and undisturbed; the exit status."""
    moments, started = random.Random(arguments.seed), time.monotonic()
    expected, rules, kills, n_kills, n_rounds, wrong = {}, {}, Counter(), 0, 0, []
    for name in arguments.studies:
        study = Study(folder / name / "undisturbed", {**STUDY, **STUDIES[name], "run": "study"})
        study.run()
        expected[name] = study.tables()
        rules[name] = {rule for rule, _ in JOB_STARTED.findall(study.told.read_text())} - {"all"}
        print(f"{name}: undisturbed, {len(expected[name])} tables, {len(rules[name])} rules", flush=True)
    while n_kills < arguments.kills or (set().union(*rules.values()) - set(kills)):
        if n_rounds and time.monotonic() - started > 60 * arguments.minutes:
            break
        name = arguments.studies[n_rounds % len(arguments.studies)]
        n_rounds += 1
        study = Study(folder / name / f"round {n_rounds}", {**STUDY, **STUDIES[name], "run": "study"})
        while not study.run(kill_after=moments.uniform(LEAST_DELAY, LONGEST_DELAY)):
            n_kills += 1
            study.unlock()
        found = study.tables()
        wrong += [
            f"{name}, round {n_rounds}: {table} differs"
            for table in expected[name]
            if found.get(table) != expected[name][table]
        ]
        wrong += [f"{name}, round {n_rounds}: {table} is new" for table in set(found) - set(expected[name])]
        wrong += [f"{name}, round {n_rounds}: {path} was left" for path in study.leftovers()]
        kills.update(study.kills)
        print(f"{name}: round {n_rounds} ended, {n_kills} kills so far, {len(wrong)} differences", flush=True)
        shutil.rmtree(study.folder)
    never = sorted(set().union(*rules.values()) - set(kills))
    print("rules killed at work: " + ", ".join(f"{rule} {n}" for rule, n in kills.most_common()))
    print("rules never killed at work: " + (", ".join(never) or "none"))
    print(f"{n_kills} kills survived in {n_rounds} rounds; {len(wrong)} differences")
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
