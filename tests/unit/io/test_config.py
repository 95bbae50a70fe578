import dataclasses
import json
from pathlib import Path

import pytest
import yaml
from schemas import STUDY as STUDY_SCHEMA
from schemas import schema_of

from grids.io.config import (
    check,
    checked_tasks,
    levels_of,
    search_direction,
    search_fill,
    search_scope,
    with_guests,
    with_levels,
)
from grids.io.config_files import check_files, downloads, expand_paths, is_url, read_tasks
from grids.io.config_schema import check_duplicates, read_text_values
from grids.io.errors import InputError, short_path
from grids.io.levels import ALL_TYPES, LEVELS

ROOT = Path(__file__).parents[3]
SCHEMA = with_guests(STUDY_SCHEMA, config={})
STUDY = """
input: {multiome: cells.h5mu, genes: genes.gtf}
tasks: {Oligo: [MOBP, MOG]}
"""


def message(text, base=STUDY):
    """What a user reads who adds `text` to the config `base`."""
    config = {**yaml.safe_load(base), **yaml.safe_load(text)}
    with pytest.raises(InputError) as error:
        check(config, schema_of(config), "study.yaml")
    return str(error.value)


def test_a_minimal_study_passes():
    check(yaml.safe_load(STUDY), SCHEMA, "study.yaml")


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configs_pass(path):
    check_duplicates(path)
    config = yaml.safe_load(path.read_text())
    check(config, schema_of(config), str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("serach: {set_size: 3}", "unknown key 'serach' at the top level. Did you mean 'search'?"),
        ("search: {setsize: 3}", "unknown key 'setsize' in 'search'. Did you mean 'set_size'?"),
        ("window_bp: 5", "unknown key 'window_bp' at the top level. It belongs to 'windows'."),
        (
            "search: {set_size: ten}",
            "search.set_size: 'ten' is not allowed; expected a whole number of at least 1",
        ),
        ("search: {set_size: 0}", "search.set_size: 0 is not allowed; expected a whole number of at least 1"),
        (
            "search: {scope: windo}",
            "search.scope: 'windo' is not allowed; expected one of genome, window, null (which "
            "peaks may be members). Did you mean 'window'?",
        ),
        ("search:", "search: null is not allowed; expected a mapping (key: value)"),
        ("run: a/b", "run: 'a/b' is not allowed; expected text (name of the run, a folder name of letters"),
        ("seed: 1.5", "seed: 1.5 is not allowed; expected a whole number of at least 0"),
        (
            "tasks: {A: [x, y, x]}",
            "tasks.A: ['x', 'y', 'x'] is not allowed; expected each value once, 'x' stands",
        ),
        (
            "tasks: {A: [NO]}",
            "tasks.A[0]: false is not allowed; expected text, not empty (a gene name, in quotes",
        ),
        (
            "tasks: {A: x}",
            "tasks.A: 'x' is not allowed; expected a list or text, not empty (a list of gene names, [MOBP, MOG], "
            "or the word all)",
        ),
        ("tasks: {}", "tasks: {} is not allowed; expected a mapping (key: value) or text, not empty"),
        ("tasks: {NO: [x]}", "tasks: YAML reads a key as false; put it in quotes"),
        (
            "preprocessing: {split: {train: 0.9}}",
            "preprocessing.split: the shares must sum to 1, but train 0.9, validation 0.1, test 0.2 sum to",
        ),
        ("search: {start: given}", "search.start is given; name the table of sets in search.given"),
        ("search: {given: a.tsv}", "search.given is 'a.tsv'; write search.start: given to start from it"),
        ("input: {genes: g.bed}", "input: no data; give one of simulation, multiome, or rna and atac"),
        ("input: {rna: a.h5ad, genes: g.bed}", "input.rna is given without input.atac; give both"),
        (
            "input: {rna: a.h5ad, atac: b.h5ad, multiome: c.h5mu, genes: g.bed}",
            "input: multiome and rna and atac exclude each other",
        ),
        ("input: {multiome: a.h5mu}", "input.genes is missing"),
        (
            "input: {multiome: a.h5mu, genes: g.bed, checksums: {multiome: 'md5:12'}}",
            "input.checksums.multiome: 'md5:12' is not allowed; expected text ('md5:' and 32, or",
        ),
        ("input: {multiome: 's3://b/a.h5mu', genes: g.bed}", "input.multiome: 's3://b/a.h5mu' is no http"),
        (
            "search: {scope: genome}",
            "search.scope is genome, but the window surrogate sees only the peaks in the gene's window; leave",
        ),
        (
            "surrogate: {model: widow}",
            "surrogate.model: 'widow' is not allowed; expected one of window, cross",
        ),
        (
            "window_surrogate: {member_penalties: [1, -1]}",
            "window_surrogate.member_penalties[1]: -1 is not allowed; expected a number of at least 0",
        ),
        (
            "window_surrogate: {metacell_sizes: [5, 1, 5]}",
            "window_surrogate.metacell_sizes: [5, 1, 5] is not allowed; expected each value once, '5' stands",
        ),
        (
            "redundancy: {n_bootstrap: 10}",
            "redundancy.n_bootstrap: 10 is not allowed; expected a whole number",
        ),
        ("states: [{bins: 5}]", "'states[0].key' is missing; give column of obs"),
        ("states: [{key: time, bin: 5}]", "unknown key 'bin' in 'states[0]'. Did you mean 'bins'?"),
        ("states: [{key: time}, {key: time}]", "states: key 'time' stands twice; give every column once"),
        ("evidence: [{name: eQTL}]", "'evidence[0].path' is missing; give path of a BED, BEDPE or TSV file"),
        ("evidence: [{name: eQTL, path: a.tsv, score: pip}]", "evidence 'eQTL': score needs exactly one of"),
        (
            "truth: {}",
            "truth and input and tasks exclude each other: the truth benchmark simulates its own data",
        ),
    ],
)
def test_messages(text, expected):
    assert message(text).startswith(f"study.yaml: {expected}")


def test_missing_keys_are_named_with_what_to_give():
    assert message("{}", base="input: {simulation: {}}").startswith(
        "study.yaml: 'tasks' is missing; give genes per cell type, {Oligo: [MOBP, MOG]}"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("many", "'many' is not allowed; expected a whole number or a mapping"),
        ("0", "0 is not allowed; expected a whole number or a mapping (key: value) of at least 1"),
        ("{none: 3}", "truth.n_genes_per_logic.single' is missing"),
        (
            "{synergystic: 3}",
            "unknown key 'synergystic' in 'truth.n_genes_per_logic'. Did you mean 'synergistic'?",
        ),
    ],
)
def test_genes_of_the_truth_benchmark_are_a_number_or_one_for_each_logic(given, said):
    assert said in message(f"truth: {{n_genes_per_logic: {given}}}", base="run: truth")


def test_the_truth_benchmark_needs_neither_input_nor_tasks(tmp_path):
    config = {"truth": {"n_cells": [300]}}
    check(config, schema_of(config), "truth.yaml")
    check_files(config, schema_of(config), "truth.yaml")
    assert read_tasks({}, "truth.yaml") == {} and downloads({}) == {}
    told = message("truth: {n_cells: [20]}", base="run: truth")
    assert told.startswith(
        "study.yaml: truth.n_cells[0]: 20 is not allowed; expected a whole number of at least 100"
    )


def test_the_scope_is_what_the_surrogate_sees_unless_told():
    for model, scope, expected in [
        ("window", None, "window"),
        ("cross_modality", None, "genome"),
        ("cross_modality", "window", "window"),
    ]:
        assert search_scope({"surrogate": {"model": model}, "search": {"scope": scope}}) == expected
    check({**yaml.safe_load(STUDY), "search": {"scope": "window"}}, SCHEMA, "study.yaml")


def test_sets_are_filled_where_every_peak_does_something_unless_told():
    for model, fill, expected in [
        ("window", None, False),
        ("window", True, True),
        ("cross_modality", None, True),
        ("cross_modality", False, False),
    ]:
        assert search_fill({"surrogate": {"model": model}, "search": {"fill": fill}}) is expected
    assert "search.fill: 3 is not allowed; expected true or false or null" in message("search: {fill: 3}")


def test_the_window_surrogate_is_searched_in_either_direction_unless_told():
    for model, direction, expected in [
        ("window", None, "change"),
        ("window", "silence", "silence"),
        ("cross_modality", None, "silence"),
        ("cross_modality", "change", "change"),
    ]:
        config = {"surrogate": {"model": model}, "search": {"direction": direction}}
        assert search_direction(config) == expected
    assert "search.direction: 'down' is not allowed" in message("search: {direction: down}")


def test_levels_are_all_that_the_surrogate_can_be_asked_for_unless_told():
    for model, levels, expected in [
        ("window", None, ["within_type", "across_types"]),
        ("window", ["across_types"], ["across_types"]),
        ("cross_modality", None, ["within_type"]),
        ("cross_modality", ["within_type"], ["within_type"]),
    ]:
        assert levels_of({"surrogate": {"model": model}, "levels": levels}) == expected
    assert "levels" in message("levels: []")
    told = message("{levels: [across_types], surrogate: {model: cross_modality}}")
    assert "levels: across_types needs the window surrogate; leave it out, or write surrogate" in told
    told = message("{tasks: {all types: [MOG]}, surrogate: {model: cross_modality}}")
    assert "tasks: 'all types' needs the window surrogate; name cell types, or write surrogate" in told
    assert "levels[0]: 'between' is not allowed" in message("levels: [between]")


@pytest.mark.parametrize(
    ("tasks", "levels", "expected"),
    [
        (
            {"A": ["x", "y"], "B": ["z", "x"]},
            LEVELS,
            {"A": ["x", "y"], "B": ["z", "x"], ALL_TYPES: ["x", "y", "z"]},
        ),
        ({"A": ["x"], "B": "all"}, LEVELS, {"A": ["x"], "B": "all", ALL_TYPES: "all"}),
        ({"A": ["x"]}, ["within_type"], {"A": ["x"]}),
        ({"A": ["x"]}, ["across_types"], {ALL_TYPES: ["x"]}),
        # What is asked of all types stays as it is.
        ({"A": ["x"], ALL_TYPES: ["y"]}, LEVELS, {"A": ["x"], ALL_TYPES: ["y"]}),
        ({"A": ["x"], ALL_TYPES: ["y"]}, ["across_types"], {ALL_TYPES: ["y"]}),
        ({ALL_TYPES: ["y"]}, LEVELS, {ALL_TYPES: ["y"]}),
        ({}, LEVELS, {}),
    ],
)
def test_levels_have_their_tasks(tasks, levels, expected):
    assert with_levels(tasks, levels) == expected


def test_a_misspelt_key_is_told_before_the_one_that_seems_missing():
    assert "unknown key 'task'" in message("task: {A: [x]}", base="input: {simulation: {}}")


def test_numbers_may_come_as_text_where_no_text_is_allowed():
    # snakemake --config 'search={set_size: 5, batch_size: null}' passes text; YAML reads 1e4 as text
    config = {
        "run": "7",
        "search": {"set_size": "5", "batch_size": "null"},
        "preprocessing": {"target_sum": "1e4"},
        "input": {"paired": "true"},
        "tasks": {"1": ["2"]},
        "window_surrogate": {"member_penalties": ["1e2", 5]},
        "states": [{"key": "3", "bins": "4"}],
    }
    assert read_text_values(config, SCHEMA) == {
        "run": "7",
        "search": {"set_size": 5, "batch_size": None},
        "preprocessing": {"target_sum": 10000.0},
        "input": {"paired": True},
        "tasks": {"1": ["2"]},
        "window_surrogate": {"member_penalties": [100.0, 5]},
        "states": [{"key": "3", "bins": 4}],
    }


def test_a_key_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("tasks:\n  Oligo: [MOBP]\n  Astro: [GJA1]\n  Oligo: [MOG]\n")
    with pytest.raises(InputError, match="'Oligo' stands twice, in lines 2 and 4; merge the two"):
        check_duplicates(path)
    path.write_text('tasks:\n  1: [MOBP]\n  "1": [MOG]\n')
    with pytest.raises(InputError, match="'1' stands twice, in lines 2 and 3"):
        check_duplicates(path)


@pytest.mark.parametrize(
    ("key", "number"), [("007", 7), ("010", 8), ("1_000", 1000), ("12:30", 750), ("0x1F", 31)]
)
def test_a_cell_type_that_yaml_would_rename_is_refused(tmp_path, key, number):
    path = tmp_path / "study.yaml"
    path.write_text(f"tasks:\n  {key}: [MOBP]\n")
    message = f"line 2: YAML reads the key {key} as the number {number}; put it in quotes"
    with pytest.raises(InputError, match=message):
        check_duplicates(path)
    path.write_text(f'tasks:\n  "{key}": [MOBP]\n  12: [MOG]\n')
    check_duplicates(path)


def test_json_is_read_as_json(tmp_path):
    path = tmp_path / "study.json"
    path.write_text('{\n\t"tasks": {\n\t\t"Oligo": ["MOBP"]\n\t}\n}\n')
    check_duplicates(path)
    path.write_text('{"tasks": {"Oligo": ["MOBP"], "Astro": ["GJA1"], "Oligo": ["MOG"]}}')
    with pytest.raises(InputError, match=r"^.*study.json: 'Oligo' stands twice; merge the two$"):
        check_duplicates(path)
    path.write_text('["tasks"]')
    with pytest.raises(InputError, match="expected keys with values"):
        check_duplicates(path)


def test_input_files_must_be_there(tmp_path):
    path = tmp_path / "genes.gtf"
    path.write_text("")
    config = {"input": {"multiome": "https://example.org/cells.h5mu", "genes": str(path)}}
    check_files(config, SCHEMA, "study.yaml")
    path.unlink()
    with pytest.raises(InputError, match=r"^study.yaml: input.genes: there is no file '.*genes.gtf'"):
        check_files(config, SCHEMA, "study.yaml")
    for key, changes in {
        "redundancy.gene_classes": {"redundancy": {"gene_classes": str(path)}},
        "evidence 'eQTL'": {"evidence": [{"name": "eQTL", "path": str(path)}]},
    }.items():
        with pytest.raises(InputError, match=f"^study.yaml: {key}: there is no file '.*genes.gtf'"):
            check_files({"input": {}, **changes}, SCHEMA, "study.yaml")


def test_everything_that_is_wrong_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    text = """
        input: {multiome: folder, genes: absent.gtf, markers: human_brian}
        tasks: $UNSET/tasks.tsv
        search: {set_size: 0, setsize: 3, start: given}
        states: [{key: a}, {key: a}]
        evidence: [{name: e, path: x.xlsx}, {name: e, path: e.tsv}]
        preprocessing: {split: {train: 0.5}}
    """
    with pytest.raises(InputError) as error:
        checked_tasks(yaml.safe_load(text), SCHEMA, "study.yaml", ["human_brain"])
    expected = [
        "unknown key 'setsize' in 'search'", "search.set_size: 0 is not allowed",
        "preprocessing.split: the shares must sum to 1", "states: key 'a' stands twice",
        "evidence 'e': x.xlsx: the suffix", "evidence 'e': this name stands twice",
        "input.markers: 'human_brian' is neither",
        "input.multiome: 'folder' is a folder; expected the path or URL of a MuData .h5mu or a 10x multiome .h5",
        "input.genes: there is no file 'absent.gtf'",
        "tasks: '$UNSET/tasks.tsv' names the variable UNSET, which is not", "evidence 'e': there is no file 'e.tsv'",
    ]  # fmt: skip
    messages = error.value.messages
    assert len(messages) == len(expected)
    for message, words in zip(messages, expected, strict=True):
        assert message.startswith(f"study.yaml: {words}")
    report = error.value.report.splitlines()
    assert report == [*(f"error: {message}" for message in messages[:10]), "error: and 1 more"]


def test_nothing_is_said_that_another_mistake_may_have_caused():
    """A misspelt model leaves the window surrogate; a misspelt section leaves defaults."""
    for wrong in ("surrogate: {model: cros_modality}", "surogate: {model: cross_modality}"):
        assert message(f"{wrong}\nsearch: {{scope: genome}}").count("study.yaml: ") == 1
    assert message("taks: {A: [x]}", base="input: {simulation: {}}").count("study.yaml: ") == 1


def test_paths_are_expanded_where_the_schema_says_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/data")
    (tmp_path / "$DATA.bed").touch()
    places = {path: entry for path, entry in leaves(SCHEMA) if "path" in entry.get("description", "").split()}
    assert all(entry.get("format") == "path" for entry in places.values())
    assert (
        len([entry for _, entry in leaves(SCHEMA) if entry.get("format") == "path"]) == len(places) + 1
    )  # results
    config = {
        "run": "$DATA",
        "results": "~/out",
        "input": {
            "multiome": "https://e.org/$DATA",
            "genes": "$DATA.bed",
            "cell_type_key": "$DATA",
            "rna": None,
        },
        "tasks": {"$DATA": ["~"]},
        "evidence": [{"name": "$DATA", "path": "${DATA}/$DATA/$UNSET"}],
    }
    expected = {
        **config,
        "results": "/home/me/out",
        "evidence": [{"name": "$DATA", "path": "/data//data/$UNSET"}],
    }
    assert expand_paths(config, SCHEMA) == expected
    assert expand_paths({"tasks": "$DATA/t.tsv"}, SCHEMA) == {"tasks": "/data/t.tsv"}
    monkeypatch.delenv("DATA")
    assert "results: '$DATA/x' names the variable DATA, which is not set" in message("results: $DATA/x")


def leaves(schema, path=""):
    """Every key of the schema and its entry, those of mappings in lists too."""
    for name, entry in schema.get("properties", {}).items():
        yield f"{path}.{name}", entry
        yield from leaves(entry.get("items", entry), f"{path}.{name}")


def test_markers_are_a_file_or_a_set_that_ships(tmp_path):
    shipped = ["human_brain", "mouse_brain"]
    check_files({"input": {"markers": "human_brain"}}, SCHEMA, "study.yaml", shipped)
    with pytest.raises(
        InputError, match=r"'human_brian' is neither a file nor one of .* Did you mean 'human_brain'"
    ):
        check_files({"input": {"markers": "human_brian"}}, SCHEMA, "study.yaml", shipped)


def test_tasks_from_the_config_keep_their_order():
    assert read_tasks({"b": ["y", "x"], 1: ["z"]}, "study.yaml") == {"b": ["y", "x"], "1": ["z"]}


def test_all_genes_may_be_asked_for():
    tasks = {"b": "all", "a": ["x"]}
    check({**yaml.safe_load(STUDY), "tasks": tasks}, SCHEMA, "study.yaml")
    assert read_tasks(tasks, "study.yaml") == tasks


def test_tasks_from_a_table():
    tasks = read_tasks(str(ROOT / "resources/paper_tasks.tsv"), "study.yaml")
    assert sum(len(genes) for genes in tasks.values()) == 16
    assert tasks["OPC"] == ["NXPH1", "OLIG1", "OLIG2"]
    assert tasks["VIP"] == tasks["SST"] == ["GAD1", "GAD2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cell_type,gene\nOligo,MOG\n", "column 'cell_type' is missing; the header must be"),
        ("", "column 'cell_type' is missing; the header must be 'cell_type<tab>gene', it is: empty"),
        ("cell_type\tgene\n", "no tasks below the header"),
        ("cell_type\tgene\nOligo\t\n", "line 2: gene is empty"),
        ("cell_type\tgene\nOligo\n", "line 2: gene is empty"),
        ("cell_type\tgene\nA\tNA\nA\tNA\n", "line 3: task A, NA stands twice"),
    ],
)
def test_bad_task_tables(tmp_path, text, expected):
    path = tmp_path / "tasks.tsv"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        read_tasks(str(path), "study.yaml")
    assert expected in str(error.value)


def test_downloads_are_named_after_their_urls():
    inputs = {
        "rna": "https://example.org/a/cells%20of.h5ad?x=1",
        "atac": "local.h5ad",
        "genes": "https://example.org/genes.gtf.gz",
        "checksums": {"genes": "md5:0"},
    }
    assert downloads(inputs) == {
        "cells=20of.h5ad": {"key": "rna", "url": inputs["rna"], "checksum": None},
        "genes.gtf.gz": {"key": "genes", "url": inputs["genes"], "checksum": "md5:0"},
    }


def test_downloads_of_the_same_name_do_not_share_a_file():
    inputs = {"rna": "https://example.org/rna/data.h5ad", "atac": "https://example.org/atac/data.h5ad"}
    assert {name: entry["key"] for name, entry in downloads(inputs).items()} == {
        "rna.data.h5ad": "rna",
        "atac.data.h5ad": "atac",
    }


def test_urls_and_paths():
    assert is_url("https://example.org/a.h5") and not is_url("data/a.h5")


def test_short_paths(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert short_path(tmp_path / "config" / "a.yaml") == "config/a.yaml"
    assert short_path("/elsewhere/a.yaml") == "/elsewhere/a.yaml"


def test_the_blocks_of_both_surrogates_are_what_the_library_takes_with_the_same_defaults():
    from grids.surrogates.cross_modality.model import Settings
    from grids.surrogates.window.training import WindowSettings

    def defaults(schema):
        return {
            name: defaults(entry) if entry.get("type") == "object" else entry["default"]
            for name, entry in schema["properties"].items()
        }

    def settings(kind):
        return json.loads(json.dumps(dataclasses.asdict(kind())))

    assert defaults(SCHEMA["properties"]["surrogate"]) == {"model": "window", **settings(Settings)}
    window = defaults(SCHEMA["properties"]["window_surrogate"])
    assert window.pop("metacell_sizes_across_types") != window["metacell_sizes"]
    assert window == settings(WindowSettings)
