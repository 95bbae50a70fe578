"""What a user sees when a run starts: the right config, or one clear line."""

import json
import re
import subprocess

import pytest
import yaml
from running import ROOT, command

SCHEMAS = {
    ROOT / "config/README.md": ROOT / "workflow/schemas/config.schema.yaml",
    **{
        path.with_name("README.md"): path
        for path in sorted((ROOT / "workflow/benchmarks").glob("*/schema.yaml"))
    },
}


def snakemake(*arguments, cwd=ROOT):
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True)


def leaves(schema, path=()):
    """Every key of the schema and its entry, those of mappings in lists too."""
    for name, entry in schema.get("properties", {}).items():
        yield ".".join((*path, name)), entry
        yield from leaves(entry.get("items", entry), (*path, name))


def documented(page):
    """Key -> default of every row of a page's tables of keys: of a benchmark's, those below Configuration."""
    text = page.read_text()
    text = text.partition("\n## Configuration\n")[2].partition("\n## Tables\n")[0] or text
    rows = re.findall(r"^\| `([\w.]+)` \| .*? \| (.*?) \| .+ \|$", text, re.MULTILINE)
    assert len({key for key, _ in rows}) == len(rows)
    return dict(rows)


@pytest.mark.parametrize("page", SCHEMAS, ids=lambda page: page.parent.name)
def test_every_key_is_documented_with_its_default(page):
    told, schema = documented(page), yaml.safe_load(SCHEMAS[page].read_text())
    assert sorted(told) == sorted(key for key, _ in leaves(schema))
    for key, entry in leaves(schema):
        if "default" in entry:
            assert yaml.safe_load(told[key].strip("`")) == entry["default"], key
        else:
            assert told[key] in ("required", "none", "`null`") or key.startswith("input.simulation"), key


def test_every_schema_refuses_unknown_keys():
    def check(schema):
        if schema.get("type") == "object" or "properties" in schema:
            assert schema["additionalProperties"] is False
        for entry in schema.get("properties", {}).values():
            check(entry.get("items", entry))

    for path in (ROOT / "workflow/schemas").glob("*.yaml"):
        check(yaml.safe_load(path.read_text()))
    for path in (ROOT / "workflow/benchmarks").glob("*/schema.yaml"):
        for entry in yaml.safe_load(path.read_text())["properties"].values():
            check(entry)


def test_a_users_config_replaces_the_demo(tmp_path):
    for name in ("cells.h5mu", "genes.gtf"):
        (tmp_path / name).touch()
    study = tmp_path / "study.yaml"
    study.write_text(
        "run: mine\ninput: {multiome: cells.h5mu, genes: genes.gtf}\ntasks: {CD8+ T: [CD8A], L2/3: [RORB]}\n"
    )
    run = snakemake("--dry-run", "--configfile", study, "--config", "seed=2", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    told = run.stdout + run.stderr
    assert "simulate" not in told and "demo" not in told
    assert "results/mine/sets/CD8+=20T.tsv" in told and "results/mine/sets/L2=2F3.tsv" in told
    assert "results/mine/report.html" in told


def test_values_on_the_command_line_keep_the_demo():
    run = snakemake("--dry-run", "--config", "run=other", "search={set_size: 3}")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "results/other/simulation/multiome.h5mu" in run.stdout + run.stderr


def planned(cwd, text):
    """Rules of the jobs that would run with a config, and everything told."""
    for name in ("cells.h5mu", "genes.gtf", "links.tsv", "classes.tsv"):
        (cwd / name).touch()
    (cwd / "study.yaml").write_text(text)
    run = snakemake("--dry-run", "--configfile", "study.yaml", cwd=cwd)
    told = run.stdout + run.stderr
    assert run.returncode == 0, told
    return set(re.findall(r"^(?:local)?rule (\w+):$", told, re.MULTILINE)), told


def test_states_and_evidence_are_measured_where_asked_for(tmp_path):
    study = "input: {simulation: null, multiome: cells.h5mu, genes: genes.gtf}\ntasks: {A: all}\n"
    optional = {
        "measure_states", "collect_states", "figure_state_trajectory", "score_peaks", "measure_evidence",
        "figure_evidence",
    }  # fmt: skip
    rules, told = planned(tmp_path, study)
    assert not rules & optional and {"train_window_surrogate", "apply_gate", "write_explained"} <= rules
    assert "state_redundancy" not in told and not re.search(r"[ ,]classes\.tsv", told)
    asked = (
        "states: [{key: time, bins: 3}]\nevidence: [{name: eQTL, path: links.tsv}]\n"
        "redundancy: {gene_classes: classes.tsv}\nsurrogate: {model: cross_modality}\n"
    )
    rules, told = planned(tmp_path, study + asked)
    assert optional | {"train_surrogate", "specialise_surrogate"} <= rules
    assert "results/run/state_redundancy.tsv" in told and re.search(r"[ ,]classes\.tsv", told)
    assert "train_window_surrogate" not in rules


def test_cell_types_may_be_called_as_files_beside_their_own(tmp_path):
    study = (
        "input: {simulation: null, multiome: cells.h5mu, genes: genes.gtf}\nsurrogate: {model: cross_modality}\n"
        "tasks: {effects.tsv: [A], joint: [A], NK.cells: [A]}\nbenchmark: {methods: [grids, random]}\n"
    )
    rules, told = planned(tmp_path, study)
    assert "specialise_surrogate" in rules
    for name in ("=65ffects.tsv", "=6Aoint", "NK.cells"):
        assert f"results/run/benchmark/{name}/effects.tsv" in told


def test_the_truth_benchmark_runs_instead_of_a_study(tmp_path):
    text = "run: truth\ntruth: {n_cells: [300], coaccessibility: [0.2], n_replicates: 2, methods: [rivals]}\n"
    rules, told = planned(tmp_path, text)
    methods = {"simulate_truth", "run_truth_method", "collect_truth", "figure_truth_benchmark"}
    assert rules == methods | {"describe_provenance", "all"}
    # The middle, and around it two of detection, three of loss, two of open peaks, one of strength and of direction.
    n_levels, n_replicates = 1 + 2 + 3 + 2 + 1 + 1, 2
    assert len(re.findall(r"^rule simulate_truth:$", told, re.MULTILINE)) == n_levels * n_replicates


def test_a_config_may_be_json_indented_by_tabs_with_paths_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    for name in ("cells.h5mu", "genes.gtf", "tasks.tsv"):
        (tmp_path / "data" / name).write_text("cell_type\tgene\nA\tB\n")
    inputs = {"multiome": "$DATA/cells.h5mu", "genes": "~/data/genes.gtf"}
    config = {"input": inputs, "tasks": "${DATA}/tasks.tsv", "results": "$DATA/out", "run": "x"}
    (tmp_path / "study.json").write_text(json.dumps(config, indent="\t"))
    run = snakemake("--dry-run", "--configfile", "study.json", cwd=tmp_path)
    told = run.stdout + run.stderr
    assert run.returncode == 0, told
    for path in ("cells.h5mu", "genes.gtf", "out/x/report.html"):
        assert str(tmp_path / "data" / path) in told
    assert "$DATA" not in told and "~" not in told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "serach: {}\ntasks: {A: [x]}\ninput: {simulation: {}}",
            r"error: study.yaml: unknown key 'serach' at the top level. Did you mean 'search'\? .*",
        ),
        (
            "tasks: {A: [x]}\ntasks: {B: [x]}",
            r"error: study.yaml: 'tasks' stands twice, in lines 1 and 2; .*",
        ),
        (
            "tasks: {A: [x]}\ninput: {multiome: absent.h5mu, genes: absent.gtf}",
            r"error: study.yaml: input.multiome: there is no file 'absent.h5mu' .*\n"
            r"error: study.yaml: input.genes: there is no file 'absent.gtf' .*",
        ),
    ],
)
def test_a_bad_config_is_told_in_clear_lines(tmp_path, text, expected):
    (tmp_path / "study.yaml").write_text(text)
    run = snakemake("--dry-run", "--configfile", "study.yaml", cwd=tmp_path)
    assert run.returncode == 1
    assert re.fullmatch(expected, (run.stdout + run.stderr).strip())
