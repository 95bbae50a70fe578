"""What pages and docstrings name is there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / folder for folder in ("config", "tests", "workflow")]
SOURCES = {path for folder in FOLDERS for path in folder.rglob("*") if path.suffix in (".py", ".smk")}
PAGES = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md"), *(p for f in FOLDERS for p in f.rglob("*.md"))]
# The packages, by the folder that Python finds them in.
MODULES = {
    ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path
    for folder, package in ((ROOT / "workflow/scripts", "grids"), (ROOT / "workflow", "benchmarks"))
    for path in sorted((folder / package).rglob("*.py"))
    if path.parent.name != "scripts"
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_sources_that_a_page_names_are_there(page):
    for named in re.findall(r"`([\w./-]+\.(?:py|smk))`", page.read_text()):
        assert any(str(path).endswith(f"/{named}") for path in SOURCES), named
    for named in re.findall(r"`((?:grids|benchmarks)(?:\.\w+)+)`", page.read_text()):
        assert is_there(named), named


@pytest.mark.parametrize("module", MODULES)
def test_references_of_docstrings_lead_somewhere(module):
    text, here = MODULES[module].read_text(), importlib.import_module(module)
    classes = [value for value in vars(here).values() if isinstance(value, type)]
    for named in re.findall(r":(?:func|class|meth|data|mod|attr):`~?([\w.]+)`", text):
        is_local = any(reaches(start, named.split(".")) for start in (here, *classes))
        assert is_local or is_there(named), named


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module, or reaches something in one."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:n]))
        except (ImportError, TypeError, ValueError):
            continue
        return reaches(module, parts[n:])
    return False


def reaches(start, names: list[str]) -> bool:
    for name in names:
        if not hasattr(start, name) and name not in getattr(start, "__annotations__", {}):
            return False
        start = getattr(start, name, None)
    return True
