import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVS = ROOT / "envs"
STUDY = {
    "run": "odd",
    "input": {"simulation": {"n_cells": 400, "n_peaks": 600, "n_genes": 40, "n_cell_types": 2}},
    "quality_control": {"min_fragments": 1, "min_genes": 1, "min_tss_enrichment": 0},
    "tasks": {"Excitatory": ["SINGLE1"]},
}

# Stands in for Python: its "virtual environment" holds a copy of itself, and calls of pip are written down.
PYTHON = """#!/bin/bash
case "$1 $2" in
    "-c "*) exit 0 ;;
    "--version "*) echo "Python 3.12.0" ;;
    "-m venv") sleep "${SLOW:-0}"; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    "-m pip") echo pip >>"$CALLS"; exit "${PIP_STATUS:-0}" ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A project with `envs/run` and a stand-in for Python; returns (run, calls of pip)."""
    shutil.copytree(ENVS, tmp_path / "project" / "envs")
    commands = tmp_path / "bin"
    commands.mkdir()
    python = commands / "python3.12"
    python.write_text(PYTHON)
    python.chmod(0o755)
    calls = tmp_path / "calls"
    calls.touch()

    def start(*command, path=f"{commands}:/usr/bin:/bin", **variables):
        return subprocess.Popen(
            ["/bin/bash", run.root / "envs" / "run", *command],
            env={"PATH": path, "CALLS": str(calls), **variables},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*command, **variables):
        process = start(*command, **variables)
        out, err = process.communicate(timeout=30)
        return process.returncode, out.strip(), err.strip()

    run.start, run.root = start, tmp_path / "project"
    return run, lambda: calls.read_text().count("pip")


def requirements():
    return (ENVS / "requirements.txt").read_text().split()


def test_pip_and_conda_list_the_same_versions():
    environment = yaml.safe_load((ENVS / "grids.yaml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == requirements()


def test_every_requirement_is_pinned_once():
    names, versions = zip(*(line.split("==") for line in requirements()), strict=True)
    assert len({name.casefold() for name in names}) == len(names)
    assert all(versions) and not any("+" in version for version in versions)
    assert list(names) == sorted(names, key=lambda name: name.casefold())


def test_the_environment_is_made_once_and_the_command_runs_in_it(project):
    run, pip_calls = project
    venv = run.root / ".venv"
    status, out, err = run("bash", "-c", "echo $VIRTUAL_ENV; command -v python; pwd", PYTHONPATH="/elsewhere")
    assert (status, out.split()) == (0, [str(venv), f"{venv}/bin/python", str(run.root.parent)])
    assert "making" in err and "is ready" in err
    assert run("bash", "-c", "echo ${PYTHONPATH-none}") == (0, "none", "")
    assert pip_calls() == 1


def test_the_status_of_the_command_is_passed_on(project):
    run, _ = project
    assert run("bash", "-c", "exit 7")[0] == 7


def test_changed_requirements_remake_the_environment(project):
    run, pip_calls = project
    run("true")
    with (run.root / "envs" / "requirements.txt").open("a") as file:
        file.write("another==1.0\n")
    run("true")
    run("true")
    assert pip_calls() == 2


def test_a_half_made_environment_is_remade(project):
    run, pip_calls = project
    status, _, err = run("true", PIP_STATUS="1")
    assert status == 1 and "could not be installed" in err
    assert not (run.root / ".venv.lock").exists()
    assert run("true")[0] == 0
    assert pip_calls() == 2


def test_a_moved_environment_is_remade(project):
    run, pip_calls = project
    run("true")
    stamp = run.root / ".venv" / ".grids-stamp"
    stamp.write_text(stamp.read_text().replace("project", "elsewhere"))
    run("true")
    assert pip_calls() == 2


def test_two_runs_at_once_make_one_environment(project):
    run, pip_calls = project
    first = run.start("true", SLOW="1")
    while not (run.root / ".venv.lock" / "owner").exists():
        time.sleep(0.02)
    status, _, err = run("true")
    first.communicate(timeout=30)
    assert (first.returncode, status, pip_calls()) == (0, 0, 1)
    assert "another run is making" in err


def test_the_lock_of_a_run_that_died_is_taken_over(project):
    run, pip_calls = project
    dead = subprocess.Popen(["true"])
    dead.wait()
    lock = run.root / ".venv.lock"
    lock.mkdir()
    (lock / "owner").write_text(f"{os.uname().nodename} {dead.pid}\n")
    status, _, err = run("true")
    assert status == 0 and "taking over" in err and pip_calls() == 1


# Characters that break Snakemake's jobs, PATH, or only look as if they did.
ODD = [
    " ",
    "\t",
    "\n",
    "$",
    "'",
    '"',
    "`",
    "\\",
    ":",
    ";",
    "&",
    "(",
    "{x}",
    "*",
    "?",
    "[",
    "]",
    "!",
    "#",
    "~",
    "<",
    "|",
]


@pytest.mark.parametrize("odd", ODD)
def test_the_environment_lies_elsewhere_where_the_path_breaks_jobs(project, odd):
    run, pip_calls = project
    run.root = run.root.rename(run.root.with_name(f"My{odd}Documents"))
    cache = run.root.parent / "cache"
    status, out, err = run("bash", "-c", "echo $VIRTUAL_ENV; command -v python", XDG_CACHE_HOME=str(cache))
    assert status == 0, err
    venv, python = out.split("\n")
    assert Path(venv).parent == cache / "grids" and python == f"{venv}/bin/python"
    assert run("true", HOME=str(cache), XDG_CACHE_HOME=str(cache))[0] == 0 and pip_calls() == 1
    assert not list(run.root.glob(".venv*"))
    # A cache that is no better is told in one line.
    status, out, err = run("true", XDG_CACHE_HOME=str(run.root))
    assert (status, out) == (1, "") and err.startswith("envs/run: neither ")


@pytest.mark.parametrize("plain", ["é", "%", "@", "=", ",", "+", "^", "-."])
def test_other_characters_keep_the_environment_beside_the_folder(project, plain):
    run, _ = project
    run.root = run.root.rename(run.root.with_name(f"My{plain}Documents"))
    assert run("bash", "-c", "echo $VIRTUAL_ENV")[1] == f"{run.root}/.venv"


@pytest.mark.workflow
def test_jobs_run_from_a_folder_with_odd_characters(project, tmp_path):
    """The whole way: `envs/run`, Snakemake, and scripts of jobs, with the packages of this environment."""
    run, _ = project
    run.root = tmp_path / "My Documents; $HOME 'é' 100%: #1 (\\a) [b] *?\n" / "grids"
    shutil.copytree(ROOT, run.root, ignore=shutil.ignore_patterns(".*", "results", "tests", "shared"))
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    venv = Path(run("bash", "-c", "echo $VIRTUAL_ENV", **cache)[1])
    stamp = (venv / ".grids-stamp").read_text()
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", venv], check=True)
    (venv / ".grids-stamp").write_text(stamp)
    for site in venv.glob("lib/python3*/site-packages"):
        (site / "these.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    (run.root.parent / "study.yaml").write_text(yaml.safe_dump(STUDY))
    done = subprocess.run(
        ["bash", run.root / "envs/run", "python", "-m", "snakemake", "results/odd/windows.tsv.gz", "--cores", "1",
         "--snakefile", run.root / "Snakefile", "--configfile", "study.yaml"],
        cwd=run.root.parent, env={**os.environ, **cache}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert (run.root.parent / "results/odd/windows.tsv.gz").is_file()


def test_a_folder_with_braces_is_refused_in_one_line(tmp_path):
    folder = tmp_path / "{x}"
    for name in ("Snakefile", "workflow", "config"):
        folder.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run"], cwd=folder, capture_output=True, text=True
    )
    told = (done.stdout + done.stderr).strip()
    assert (
        done.returncode == 1
        and told.startswith(f"error: {folder}: Snakemake reads the braces in")
        and "\n" not in told
    )


def test_no_python_is_one_clear_line(project):
    run, _ = project
    tools = run.root.parent / "tools"
    tools.mkdir()
    for name in ("dirname", "mkdir", "cat", "rm", "uname", "cmp"):
        (tools / name).symlink_to(shutil.which(name))
    status, out, err = run("true", path=str(tools))
    assert (status, out) == (1, "")
    assert err.startswith("envs/run: no Python 3.11, 3.12 or 3.13 found") and "\n" not in err


def test_no_command_is_one_clear_line(project):
    run, _ = project
    assert run() == (1, "", "envs/run: say what to run, for example: bash envs/run snakemake --cores all")
