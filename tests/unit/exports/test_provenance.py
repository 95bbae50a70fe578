import subprocess

import pytest
import yaml

import grids
from grids.exports import provenance
from grids.exports.provenance import code_hash, config_of, fingerprint, git_revision, package_versions


@pytest.fixture
def library(tmp_path):
    """script -> grids.a -> grids.sub.b -> grids.c; grids.other stands apart."""
    folder = tmp_path / "grids"
    (folder / "sub").mkdir(parents=True)
    (folder / "io").mkdir()
    for name, text in {
        "__init__.py": "",
        "a.py": "from grids.sub.b import f\n",
        "sub/__init__.py": "x = 1\n",
        "sub/b.py": "def f():\n    from .. import c\n    return c.y\n",
        "c.py": "y = 2\n",
        "other.py": "z = 3\n",
        "io/__init__.py": "",
        "io/logging.py": "def job(): pass\n",
    }.items():
        (folder / name).write_text(text)
    script = tmp_path / "script.py"
    script.write_text("import numpy\nfrom grids import a\nfrom grids.io.logging import job\n")
    return script, folder


@pytest.mark.parametrize("name", ["a.py", "sub/__init__.py", "sub/b.py", "c.py"])
def test_changed_code_of_any_imported_module_changes_the_hash(library, name):
    script, folder = library
    before = code_hash(script, folders=[folder.parent])
    (folder / name).write_text((folder / name).read_text() + "w = 4\n")
    assert code_hash(script, folders=[folder.parent]) != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("other.py", "z = 4\n"),
        ("io/logging.py", "def job(): return 1\n"),
        ("c.py", '"""What y is."""\n\n# two\ny    = 2\n'),
    ],
)
def test_what_cannot_change_results_leaves_the_hash(library, name, text):
    script, folder = library
    before = code_hash(script, folders=[folder.parent])
    (folder / name).write_text(text)
    assert code_hash(script, folders=[folder.parent]) == before


def test_description_is_plain_yaml(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "requirements.txt").write_text("# pins\nPyYAML==0\nno-such-package==1\n")
    config = {"seed": 3, "tasks": {"CD8+ T": ["NA"]}, "search": {"batch_size": None}}
    provenance.write(
        provenance.describe(config, "snakemake --cores 2", tmp_path), tmp_path / "provenance.yaml"
    )
    read = yaml.safe_load((tmp_path / "provenance.yaml").read_text())
    assert read["config"] == config
    assert (read["seed"], read["command"], read["revision"]) == (3, "snakemake --cores 2", None)
    assert read["packages"] == {"PyYAML": yaml.__version__}
    assert (read["grids"], read["inputs"]) == (grids.__version__, {})


def test_input_files_are_known_by_their_content(tmp_path):
    path = tmp_path / "cells.h5mu"
    path.write_bytes(b"abc")
    assert fingerprint(path) == {
        "path": str(path),
        "bytes": 3,
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    }


def test_a_provenance_file_is_a_config(tmp_path):
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "requirements.txt").write_text("")
    config = {"run": "a", "seed": 3, "tasks": {"made": ["config"]}, "search": {"set_size": 5, "restarts": 2}}
    description = provenance.describe(config, "snakemake", tmp_path)
    assert config_of(description) == config_of(config) == config
    # as Snakemake reads it with --config seed=4 'search={set_size: 7}' run=b
    asked = {**description, "seed": 4, "search": {"set_size": 7}, "run": "b"}
    assert config_of(asked) == {**config, "run": "b", "seed": 4, "search": {"set_size": 7, "restarts": 2}}


def test_the_page_shows_names_and_runs_nothing(tmp_path):
    provenance.write({"command": "<script>alert(1)</script> é"}, tmp_path / "p.yaml", tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; é" in page and "<script" not in page


def test_revision_tells_of_changes(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        return subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD").strip()
    assert git_revision(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == f"{commit}+changes"


def test_versions_of_installed_packages_only(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("pytest==0.0\nno-such-package==1\n")
    assert package_versions(path) == {"pytest": pytest.__version__}
