"""What a user sees when a run starts: the right config, or one clear line."""

import re
import subprocess

import pytest
import yaml
from running import ROOT, command

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())


def snakemake(*arguments, cwd=ROOT):
    return subprocess.run(command(*arguments), cwd=cwd, capture_output=True, text=True)


def leaves(schema, path=()):
    """Every key of the schema and its default, missing ones as None."""
    for name, entry in schema.get("properties", {}).items():
        yield ".".join((*path, name)), entry
        yield from leaves(entry, (*path, name))


def documented():
    """Key -> default of every table row of config/README.md."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| .*? \| (.*?) \| .+ \|$", (ROOT / "config/README.md").read_text(), re.MULTILINE
    )
    assert len({key for key, _ in rows}) == len(rows)
    return dict(rows)


def test_every_key_is_documented_with_its_default():
    told = documented()
    assert sorted(told) == sorted(key for key, _ in leaves(SCHEMA))
    for key, entry in leaves(SCHEMA):
        if "default" in entry:
            assert yaml.safe_load(told[key].strip("`")) == entry["default"], key
        else:
            assert told[key] in ("required", "none", "`null`") or key.startswith("input.simulation"), key


def test_every_schema_refuses_unknown_keys():
    def check(schema):
        if schema.get("type") == "object" or "properties" in schema:
            assert schema["additionalProperties"] is False
        for entry in schema.get("properties", {}).values():
            check(entry)

    for path in (ROOT / "workflow/schemas").glob("*.yaml"):
        check(yaml.safe_load(path.read_text()))


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "serach: {}",
            r"error: study.yaml: unknown key 'serach' at the top level. Did you mean 'search'\? .*",
        ),
        (
            "tasks: {A: [x]}\ntasks: {B: [x]}",
            r"error: study.yaml: 'tasks' stands twice, in lines 1 and 2; .*",
        ),
        (
            "tasks: {A: [x]}\ninput: {multiome: absent.h5mu, genes: absent.gtf}",
            r"error: study.yaml: input.multiome: there is no file 'absent.h5mu' .*",
        ),
    ],
)
def test_a_bad_config_is_one_clear_line(tmp_path, text, expected):
    (tmp_path / "study.yaml").write_text(text)
    run = snakemake("--dry-run", "--configfile", "study.yaml", cwd=tmp_path)
    assert run.returncode == 1
    assert re.fullmatch(expected, (run.stdout + run.stderr).strip())
