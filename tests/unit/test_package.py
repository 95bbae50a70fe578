"""The library as a package of its own: installed without the repository, and what it offers at its top."""

import subprocess
import sys
from pathlib import Path

import pytest

import grids

SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def python(code, *path, cwd):
    """What an isolated Python prints that sees its own packages and these folders."""
    put = f"import sys; sys.path[:0] = {[str(folder) for folder in path]!r}\n"
    told = subprocess.run([sys.executable, "-I", "-c", put + code], cwd=cwd, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told.stdout.split()


def test_the_library_installs_by_itself(tmp_path):
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    # A copy: building leaves files beside the sources.
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", SCRIPTS, source], check=True)
    told = subprocess.run([*command, "--target", tmp_path / "site", source], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    code = "import grids; print(grids.__file__, grids.__version__, grids.TaskCells.__module__)"
    where, version, module = python(code, tmp_path / "site", cwd=tmp_path)
    assert Path(where).parts[-3:] == ("site", "grids", "__init__.py")
    assert (version, module) == (grids.__version__, "grids.search.task_cells")
    installed = {path.relative_to(tmp_path / "site") for path in (tmp_path / "site/grids").rglob("*.py")}
    assert installed == {path.relative_to(SCRIPTS) for path in (SCRIPTS / "grids").rglob("*.py")}
    assert (tmp_path / f"site/grids-{version}.dist-info").is_dir()


@pytest.mark.parametrize("name", grids.__all__)
def test_names_at_the_top_are_there(name):
    assert getattr(grids, name) is not None and name in dir(grids)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="module 'grids' has no attribute 'tables2'"):
        grids.tables2  # noqa: B018


def test_importing_the_package_imports_nothing_heavy(tmp_path):
    code = "import grids; print([name for name in ('numpy', 'pandas', 'torch') if name in sys.modules])"
    assert python(code, SCRIPTS, cwd=tmp_path) == ["[]"]
