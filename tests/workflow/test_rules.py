"""What every rule has to have, which `snakemake --lint` does not look at."""

import ast
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from running import succeed

ROOT = Path(__file__).parents[2]
RULES = {
    name: body
    for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for name, body in re.findall(r"^rule (\w+):\n((?:    .*\n|\n)+)", path.read_text(), re.MULTILINE)
}
ON_GPU = {"find_sets", "measure_effects", "measure_redundancy"}
WITH_SCRIPT = sorted(name for name in RULES if "script:" in RULES[name])


def test_rules_are_found():
    assert {"preprocess", "find_sets", "figure_locus", "make_report"} <= set(WITH_SCRIPT)


@pytest.mark.parametrize("name", WITH_SCRIPT)
def test_every_rule_is_complete(name):
    body = RULES[name]
    for directive in ("output", "log", "benchmark", "threads", "resources", "conda"):
        assert re.search(rf"^    {directive}:", body, re.MULTILINE), directive
    for resource in ("mem_mb", "runtime"):
        assert re.search(rf"^        {resource}=(memory|minutes|lambda)", body, re.MULTILINE), resource
    assert not re.search(r"\bslurm_|\b(account|partition)=", body)
    assert f'"../scripts/{name}.py"' in body
    assert f'code_of("{name}")' in body


def test_every_script_belongs_to_a_rule_and_is_thin():
    scripts = sorted((ROOT / "workflow/scripts").glob("*.py"))
    assert [path.stem for path in scripts] == WITH_SCRIPT
    for path in scripts:
        text = path.read_text()
        assert "with job(snakemake)" in text
        assert not re.search(r"^\s*(def|class) ", text, re.MULTILINE)
        assert len(text.splitlines()) <= 60


def test_jobs_that_only_collect_or_draw_do_not_load_torch():
    """Loading it takes longer than what they do."""
    kinds = ("collect_", "compare_", "figure_", "make_", "summarise_", "tabulate_", "write_")
    light = [name for name in WITH_SCRIPT if name.startswith(kinds) and name != "collect_synthetic"]
    assert len(light) > 40
    bodies = [ast.parse((ROOT / f"workflow/scripts/{name}.py").read_text()).body for name in light]
    imports = [node for body in bodies for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    code = "\n".join([*map(ast.unparse, imports), "import sys; print('torch' in sys.modules)"])
    told = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT / "workflow/scripts",
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.split() == ["False"]


def test_the_slurm_profile_names_rules_that_exist():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text())
    arrays = profile["slurm-array-jobs"]
    assert set(arrays.split(", ")) <= set(WITH_SCRIPT)
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
    for body in RULES.values():
        for start in (match.end() for match in re.finditer(r"\breport(?=\()", body)):
            depth = itertools.accumulate((c == "(") - (c == ")") for c in body[start:])
            end = next(i for i, open_ in enumerate(depth) if not open_)
            yield ast.parse(f"report{body[start : start + end + 1]}", mode="eval").body


def test_no_report_entry_has_a_second_label():
    """Snakemake's report makes a toggle of a later label that half of the results share, and its page breaks."""
    entries = list(report_entries())
    assert len(entries) > 60
    for entry in entries:
        arguments = {keyword.arg: keyword.value for keyword in entry.keywords}
        given = [node for node in ast.walk(arguments["labels"]) if isinstance(node, ast.Dict)]
        assert [[key.value for key in labels.keys] for labels in given] == [["what"]], ast.unparse(entry)


def test_every_caption_is_used_and_exists():
    used = set(re.findall(r'"\.\./report/(\w+\.rst)"', "".join(RULES.values()))) | {"workflow.rst"}
    assert used == {path.name for path in (ROOT / "workflow/report").glob("*.rst")}
