"""How the house is built: imports run one way, functions are short."""

import ast
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).parents[2] / "workflow"
LIBRARY = WORKFLOW / "scripts" / "grids"
# In the order in which data flow.
PACKAGES = ["io", "data", "surrogates", "search", "analysis", "exports", "figures"]
MODULES = sorted([*WORKFLOW.glob("scripts/**/*.py"), *WORKFLOW.glob("benchmarks/**/*.py")])
MOST_LINES = 60


def test_the_library_is_these_packages():
    assert sorted(path.parent.name for path in LIBRARY.glob("*/__init__.py")) == sorted(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_comes_before_it(package):
    later = PACKAGES[PACKAGES.index(package) + 1 :]
    for path in (LIBRARY / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                of_library, _, inner = name.partition("grids.")
                assert of_library or inner.split(".")[0] not in later, f"{path.name}: {name}"


def lines_of_code(function: ast.FunctionDef) -> int:
    """Lines without the docstring."""
    first = function.body[0]
    is_documented = ast.get_docstring(function) is not None
    told = first.end_lineno - first.lineno + 1 if is_documented else 0
    return function.end_lineno - function.lineno + 1 - told


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(WORKFLOW)))
def test_functions_are_short(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert lines_of_code(node) <= MOST_LINES, node.name
