"""What every rule has to have, which `snakemake --lint` does not look at."""

import ast
import importlib
import inspect
import itertools
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from running import succeed

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / "workflow"
RULE = re.compile(r"^( *)rule(?: (\w+))?:\n((?:\1    .*\n|\n)+)", re.MULTILINE)
# Name -> folder and text of each rule; that of all plain figures, made in a loop, is `figure`.
RULES = {
    name or "figure": (path.parent, textwrap.dedent(body))
    for path in sorted([*(WORKFLOW / "rules").glob("*.smk"), *(WORKFLOW / "benchmarks").glob("*/rules.smk")])
    for _, name, body in RULE.findall(path.read_text())
}
TABLES = {
    path: yaml.safe_load(path.read_text())
    for path in [WORKFLOW / "report/figures.yaml", *(WORKFLOW / "benchmarks").glob("*/report/figures.yaml")]
}
ON_GPU = {"find_sets", "measure_effects", "measure_redundancy"}
# Those of the study and those of the benchmarks, by the place of their scripts.
WITH_SCRIPT = {
    (folder / re.search(r'"([\w./]+\.py)"', body)[1]).resolve(): name
    for name, (folder, body) in sorted(RULES.items(), reverse=True)
    if "script:" in body
}


def test_rules_are_found():
    assert {"preprocess", "find_sets", "figure", "figure_locus", "make_report", "simulate_truth"} <= {
        *WITH_SCRIPT.values()
    }


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_complete(name):
    folder, body = RULES[name]
    if "script:" not in body:
        return
    for directive in ("output", "log", "benchmark", "resources", "conda"):
        assert re.search(rf"^{directive}:", body, re.MULTILINE), directive
    for resource in ("mem_mb", "runtime"):
        own = rf"^    ({resource}=(memory|minutes|lambda)|\*\*OF_(TABLES|PREDICTIONS),$)"
        assert re.search(own, body, re.MULTILINE), resource
    assert not re.search(r"\bslurm_|\b(account|partition)=", body)
    # The script has the rule's name, or that of the study's rule that a benchmark uses too.
    step = name.removesuffix("_of_explainers")
    guest = "" if folder.name == "rules" or step != name else f"{folder.name}/"
    assert f'{step}.py"' in body and f'code_of("{guest}{step}"' in body


def test_every_script_belongs_to_a_rule_and_is_thin():
    scripts = [*(WORKFLOW / "scripts").glob("*.py"), *(WORKFLOW / "benchmarks").glob("*/scripts/*.py")]
    assert {*scripts} == {*WITH_SCRIPT}
    for path in scripts:
        text = path.read_text()
        assert "with job(snakemake)" in text
        assert not re.search(r"^\s*(def|class) ", text, re.MULTILINE)
        assert len(text.splitlines()) <= 60


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.parts[-3])
def test_every_figure_of_the_tables_is_drawn_and_explained(table):
    folder = table.parent
    package = "grids" if folder.parent == WORKFLOW else f"benchmarks.{folder.parent.name}"
    for name, figure in TABLES[table].items():
        draw = getattr(importlib.import_module(f"{package}.figures.{name}"), name)
        wanted = inspect.signature(draw).parameters
        given = {*figure["inputs"], *figure.get("options", {})}
        assert given <= {*wanted}
        assert {key for key, parameter in wanted.items() if parameter.default is parameter.empty} <= given
        assert (folder / f"{name}.rst").is_file()


def test_jobs_that_only_collect_or_draw_do_not_load_torch():
    """Loading it takes longer than what they do."""
    kinds = ("check_", "collect_", "compare_", "figure", "make_", "summarise_", "tabulate_", "write_")
    light = [
        path
        for path, name in WITH_SCRIPT.items()
        if name.startswith(kinds) and name not in ("collect_synthetic", "collect_links")
    ]
    assert len(light) > 15
    bodies = [ast.parse(path.read_text()).body for path in light]
    imports = [node for body in bodies for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    drawings = {WORKFLOW: "grids"} | {
        folder: f"benchmarks.{folder.name}" for folder in (WORKFLOW / "benchmarks").iterdir()
    }
    imports += [
        ast.parse(f"import {drawings[table.parents[1]]}.figures.{name}")
        for table, figures in TABLES.items()
        for name in figures
    ]
    code = "\n".join([*map(ast.unparse, imports), "import sys; print('torch' in sys.modules)"])
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": f"{WORKFLOW / 'scripts'}{os.pathsep}{WORKFLOW}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split() == ["False"]


def test_the_slurm_profile_names_rules_that_exist():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    arrays = profile["slurm-array-jobs"]
    assert set(arrays.split(", ")) <= {*WITH_SCRIPT.values()}
    # Snakemake looks whether a text in a profile is a file, and longer names than this are an error of the system.
    assert len(arrays) <= 255
    assert not {"slurm_account", "slurm_partition"} & set(profile["default-resources"])


@pytest.mark.parametrize(
    ("model", "device", "asking"),
    [
        ("cross_modality", "cpu", set()),
        ("cross_modality", "cuda:0", ON_GPU | {"train_surrogate", "specialise_surrogate"}),
        ("window", "cuda", set()),
    ],
)
def test_rules_ask_for_a_gpu_only_where_they_use_one(tmp_path, model, device, asking):
    config = {
        "input": {"simulation": {"n_cells": 600, "n_peaks": 1500, "n_genes": 120, "n_cell_types": 2}},
        "tasks": {"Excitatory": [f"SINGLE{i}" for i in range(1, 31)]},
        "surrogate": {"model": model, "device": device},
    }
    told = succeed(
        tmp_path, config, "redundancy.tsv", "effects.tsv", options=["--dry-run", "--cores", "2"]
    ).told
    jobs = re.findall(r"^rule (\w+):\n((?: {4}.*\n)+)", told, re.MULTILINE)
    assert {rule for rule, _ in jobs} >= ON_GPU
    assert {rule for rule, about in jobs if re.search(r"resources:.*\bgpu=1\b", about)} == asking
    # Genes are explained by several processes on a CPU, by one on a GPU.
    several = {rule for rule, about in jobs if re.search(r"threads: \d", about)}
    assert several & ON_GPU == (set() if asking else ON_GPU)


def report_entries():
    """Every ``report(...)`` of the rules as Python sees it."""
    for body in [body for _, body in RULES.values()] + [(WORKFLOW / "rules/common.smk").read_text()]:
        for start in (match.end() for match in re.finditer(r"\breport(?=\()", body)):
            depth = itertools.accumulate((c == "(") - (c == ")") for c in body[start:])
            end = next(i for i, open_ in enumerate(depth) if not open_)
            yield ast.parse(f"report{body[start : start + end + 1]}", mode="eval").body


def test_no_report_entry_has_a_second_label():
    """Snakemake's report makes a toggle of a later label that half of the results share, and its page breaks."""
    entries = list(report_entries())
    assert len(entries) > 10
    for entry in entries:
        arguments = {keyword.arg: keyword.value for keyword in entry.keywords}
        given = [node for node in ast.walk(arguments["labels"]) if isinstance(node, ast.Dict)]
        assert [[key.value for key in labels.keys] for labels in given] == [["what"]], ast.unparse(entry)


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.parts[-3])
def test_every_caption_is_used_and_exists(table):
    folder = table.parent
    own = "rules" if folder.parent == WORKFLOW else folder.parent.name
    rules = "".join(body for place, body in RULES.values() if place.name == own)
    used = {*re.findall(r'"(?:\.\./)?report/(\w+\.rst)"', rules), *(f"{name}.rst" for name in TABLES[table])}
    for arguments in re.findall(r"\bshown\(((?:[^()]|\n)*)\)", rules):
        caption = re.search(r'caption="(\w+)"', arguments) or re.search(r'"(?:\w+/)*(\w+)\.tsv', arguments)
        used.add(f"{caption[1]}.rst")
    assert used | ({"workflow.rst"} if own == "rules" else set()) == {
        path.name for path in folder.glob("*.rst")
    }
