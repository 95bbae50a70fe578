"""Kill the workflow at random moments of every stage, run the same command again, and compare with undisturbed runs.

    bash envs/run python tests/crash/kill_runs.py --kills 50

Runs small simulated studies, one with each surrogate, undisturbed at first. Then each is run in another folder, and
killed with SIGKILL at a random moment of the start or of a job's work: Snakemake and all its jobs, Snakemake alone,
whose jobs then go on without it, or one job. The same command is given again until a run ends by itself; its tables
must then be those of the undisturbed run. Rules that have not been killed at work yet come first; rounds go on until
all have been and there were as many kills as asked for; with `--minutes`, no longer than that. A lock that a killed
Snakemake has left is lifted as Snakemake says (`--unlock`). Exits with 1 when a table differs, a half-written file is
left, or a run fails by itself.
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
import psutil
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
SNAKEMAKES_OWN = ".snakemake_timestamp"  # in folders that are outputs
JOB_STARTED = re.compile(r"^(?:local)?rule (\w+):\n(?:    .*\n)*?    jobid: (\d+)", re.MULTILINE)
JOB_ENDED = re.compile(r"^Finished jobid: (\d+)", re.MULTILINE)
# What a kill hits, and how often in ten.
VICTIMS = {"everything": 5, "Snakemake alone": 3, "one job": 2}
AT_START = 0.1  # share of kills before the first job
LONGEST_START = 8.0  # seconds
MOST_JOBS_BEFORE = 2  # that end before one is killed


def command(*more: str) -> list[str]:
    """What a user would type; the same before and after a crash."""
    snakefile = str(ROOT / "Snakefile")
    options = ["--cores", "2", "--rerun-incomplete", "--configfile", "study.yaml", "--snakefile", snakefile]
    return [sys.executable, "-m", "snakemake", *options, *more]


class Study:
    """A folder in which one study is run; what is finished in it is not run again.

    Attributes
    ----------
    kills : Counter
        Of rules that were at work when they were killed.
    victims : Counter
        Of what was killed.
    """

    def __init__(self, folder: Path, config: dict):
        self.folder, self.results, self.told = folder, folder / "results/study", folder / "told.txt"
        self.kills, self.victims = Counter(), Counter()
        self.started = []
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "study.yaml").write_text(yaml.safe_dump({**config, "run": "study"}))

    def start(self) -> subprocess.Popen:
        with self.told.open("w") as told:
            process = subprocess.Popen(
                command(), cwd=self.folder, stdout=told, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.started.append(process.pid)
        return process

    def run(self) -> None:
        """Run until it ends by itself, which must be well."""
        self.end(self.start())

    def end(self, process: subprocess.Popen, told: str = "") -> bool:
        """Wait; whether all was done.

        Raises
        ------
        RuntimeError
            When the run fails and does not say `told`.
        """
        failed = process.wait()
        if failed and (not told or told not in self.told.read_text()):
            raise RuntimeError(f"the run failed by itself:\n{self.told.read_text()[-3000:]}")
        return not failed

    def run_killed(self, moments: random.Random, seconds: dict[str, float], rules: set[str]) -> bool:
        """Run until it is killed or, which is True, ends by itself.

        Parameters
        ----------
        moments : Random
        seconds : dict
            Of processor time that a job of each rule takes.
        rules : set of str
            The job that is killed is of one of them.
        """
        process = self.start()
        if moments.random() < AT_START:
            wait(process, moments.uniform(0, LONGEST_START))
        else:
            n_before = moments.randrange(MOST_JOBS_BEFORE + 1)
            while process.poll() is None:
                due = [rule for rule in self.jobs()[n_before:] if rule in rules]
                if due:
                    self.wait_for_work(process, due[0], moments.uniform(0, seconds[due[0]]))
                    break
                time.sleep(0.05)
        victim = moments.choices([*VICTIMS], [*VICTIMS.values()])[0]
        at_work, scripts = self.at_work(), jobs_of(process)
        if process.poll() is not None:
            return self.end(process)
        if victim == "one job" and scripts:
            moments.choice([*scripts]).kill()
            if self.end(process, told="died with <Signals.SIGKILL"):
                return True  # it had ended just before
        elif victim == "Snakemake alone":
            process.kill()
        else:
            victim = "everything"
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.victims[victim] += 1
        self.kills.update(at_work)
        print(f"  {victim} killed at {', '.join(at_work) or 'the start'}", flush=True)
        return False

    def wait_for_work(self, process: subprocess.Popen, rule: str, seconds: float) -> None:
        """Until a job of the rule has had so much processor time, which the load of the machine does not change."""
        while process.poll() is None and rule in self.at_work():
            spent = [sum(cpu) for script, cpu in jobs_of(process).values() if script.endswith(f".{rule}.py")]
            if spent and max(spent) >= seconds:
                return
            time.sleep(0.05)

    def kill_all(self) -> None:
        """Whatever of this study is still at work."""
        for group in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    def wait_for_orphans(self) -> None:
        """Jobs that went on when Snakemake was killed."""
        for group in self.started:
            with contextlib.suppress(ProcessLookupError):
                while True:
                    os.killpg(group, 0)
                    time.sleep(0.1)

    def jobs(self) -> list[str]:
        """Rules of the jobs that have begun, in this order."""
        return [rule for rule, _ in JOB_STARTED.findall(self.told.read_text()) if rule != "all"]

    def at_work(self) -> list[str]:
        """Rules whose jobs had begun and not ended."""
        told = self.told.read_text()
        ended = set(JOB_ENDED.findall(told))
        return [rule for rule, job in JOB_STARTED.findall(told) if job not in ended and rule != "all"]

    def seconds(self) -> dict[str, float]:
        """Processor time that a job of each rule took, by the benchmarks of the run."""
        benchmarks = self.results / "benchmarks"
        spent = {}
        for path in benchmarks.rglob("*.tsv"):
            rule = path.relative_to(benchmarks).parts[0].removesuffix(".tsv")
            spent.setdefault(rule, []).append(pd.read_csv(path, sep="\t")["cpu_time"].item())
        return {rule: sum(each) / len(each) for rule, each in spent.items()}

    def unlock(self) -> None:
        subprocess.run(command("--unlock"), cwd=self.folder, check=True, capture_output=True)


def tables_of(results: Path) -> dict[str, str]:
    """The content of every table of a run's folder, by its path."""
    found = {}
    for path in sorted([*results.rglob("*.tsv"), *results.rglob("*.tsv.gz")]):
        name = str(path.relative_to(results))
        if not set(NOT_COMPARED) & set(Path(name).parts):
            found[name] = pd.read_csv(path, sep="\t", dtype=str).drop(columns=TIMES, errors="ignore").to_csv()
    return found


def leftovers(results: Path) -> list[str]:
    """Half-written files of a run's folder: all of them are hidden files, parts or checkpoints."""
    return [
        str(path)
        for path in results.rglob("*")
        if (path.name.startswith(".") and path.name != SNAKEMAKES_OWN)
        or path.suffix in (".part", ".checkpoints")
    ]


def wait(process: subprocess.Popen, seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def jobs_of(process: subprocess.Popen) -> dict[psutil.Process, tuple[str, tuple[float, float]]]:
    """The scripts that Snakemake is running, with user and system time."""
    found = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                words = child.cmdline()
                if len(words) == 2 and "/.snakemake/scripts/" in words[1]:
                    found[child] = (words[1], child.cpu_times()[:2])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="kills at least, over both studies")
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="begin no new round after this time"
    )
    parser.add_argument("--studies", nargs="+", choices=STUDIES, default=list(STUDIES))
    parser.add_argument(
        "--folder", help="work here and keep it; undisturbed runs that it has are not made again"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = arguments.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="kill_runs_"))
        return kill_runs(Path(folder), arguments)


def kill_runs(folder: Path, arguments: argparse.Namespace) -> int:
    """Run the studies, undisturbed and disturbed; the exit status."""
    moments, started = random.Random(arguments.seed), time.monotonic()
    expected, seconds, kills, victims, n_rounds, wrong = {}, {}, Counter(), Counter(), 0, []
    for name in arguments.studies:
        study = Study(folder / name / "undisturbed", {**STUDY, **STUDIES[name]})
        study.run()
        expected[name], seconds[name] = tables_of(study.results), study.seconds()
        print(f"{name}: undisturbed, {len(expected[name])} tables, {len(seconds[name])} rules", flush=True)
    while True:
        enough = victims.total() >= arguments.kills
        waiting = [name for name in arguments.studies if not enough or set(seconds[name]) - set(kills)]
        if not waiting or (n_rounds and time.monotonic() - started > 60 * arguments.minutes):
            break
        name = waiting[n_rounds % len(waiting)]
        n_rounds += 1
        shutil.rmtree(folder / name / f"round {n_rounds}", ignore_errors=True)
        study = Study(folder / name / f"round {n_rounds}", {**STUDY, **STUDIES[name]})
        try:
            while True:
                enough = victims.total() + study.victims.total() >= arguments.kills
                rules = set(seconds[name]) - set(kills) - set(study.kills)
                if not rules and not enough:
                    rules = set(seconds[name])
                if study.run_killed(moments, seconds[name], rules):
                    break
                study.unlock()
            study.wait_for_orphans()
        finally:
            study.kill_all()
        found = tables_of(study.results)
        differing = [t for t in set(found) | set(expected[name]) if found.get(t) != expected[name].get(t)]
        wrong += [f"{name}, round {n_rounds}: {table} differs" for table in sorted(differing)]
        wrong += [f"{name}, round {n_rounds}: {path} was left" for path in leftovers(study.results)]
        kills, victims = kills + study.kills, victims + study.victims
        print(
            f"{name}: round {n_rounds} ended, {victims.total()} kills so far, {len(wrong)} differences",
            flush=True,
        )
        if not (differing and arguments.folder):
            shutil.rmtree(study.folder)
    never = sorted(set().union(*seconds.values()) - set(kills))
    print("killed: " + ", ".join(f"{victim} {n}" for victim, n in victims.most_common()))
    print("rules killed at work: " + ", ".join(f"{rule} {n}" for rule, n in kills.most_common()))
    print("rules never killed at work: " + (", ".join(never) or "none"))
    print(f"{victims.total()} kills survived in {n_rounds} rounds; {len(wrong)} differences")
    print("\n".join(wrong))
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
