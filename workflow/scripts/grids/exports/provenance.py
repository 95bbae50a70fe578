"""Where results come from: the code that made them, the packages, the command, the configuration."""

import ast
import functools
import hashlib
import html
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import yaml

from grids import __version__
from grids.io.writing import whole

_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef
# What these modules do never changes a result.
_WITHOUT_EFFECT = {"grids.io.errors", "grids.io.logging", "grids.io.writing"}
# The folder of the library's package, and that of the benchmarks beside it.
_FOLDERS = (Path(__file__).parents[2], Path(__file__).parents[3])


def code_hash(
    script: str | Path, modules: Iterable[str] = (), folders: Sequence[str | Path] | None = None
) -> str:
    """Hash of all code of our packages that a script imports, directly or through others, as 16 hexadecimal digits.

    Comments, docstrings and layout do not count. `modules` are those that it imports besides, by names that are not in
    its code; packages in `folders` are ours, by default in those of the library and of the benchmarks.
    """
    folders = tuple(map(Path, folders)) if folders else _FOLDERS
    waiting, seen = [*_read(Path(script).read_text(encoding="utf-8"), "")[1], *modules], {}
    while waiting:
        name = waiting.pop()
        path = _path_of(name, folders)
        if path is None or name in seen or name in _WITHOUT_EFFECT:
            continue
        parent = name.rpartition(".")[0]
        package = name if path.name == "__init__.py" else parent
        seen[name], imports = _read(path.read_text(encoding="utf-8"), package)
        waiting += [*imports, parent]
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(f"{name}\0{seen[name]}\0".encode())
    return digest.hexdigest()[:16]


def describe(
    config: dict, command: str | None, root: str | Path, files: Mapping[str, str | Path] | None = None
) -> dict:
    """Everything needed to make the same run again.

    Plain data, from the `config` with defaults filled in, the `command` line that started the run, the project's top
    folder and the user's `files` by config key; `inputs` has ``path bytes sha256`` of each file.
    """
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "grids": __version__,
        "command": command,
        "seed": config["seed"],
        "revision": git_revision(root),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": package_versions(Path(root) / "envs" / "requirements.txt"),
        "inputs": {key: fingerprint(path) for key, path in (files or {}).items()},
        "config": _plain(config),
    }


def write(description: dict, path: str | Path, page: str | Path | None = None) -> None:
    """Write a description as YAML and, for the report, as a page that shows it."""
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True, width=110)
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    if page is not None:
        head = '<!DOCTYPE html><html><head><meta charset="utf-8"><title>Provenance</title></head>'
        body = f"<body><pre>{html.escape(text)}</pre></body></html>\n"
        with whole(page) as temporary:
            temporary.write_text(head + body, encoding="utf-8")


def config_of(read: dict) -> dict:
    """The config as Snakemake reads it: the file's content, updated by ``--config``.

    Of a ``provenance.yaml``, the config in it, changed by what was read beside it.
    """
    if "made" not in read or not isinstance(read.get("config"), dict):
        return read
    described = {"made", "grids", "command", "revision", "python", "platform", "packages", "inputs", "config"}
    return _updated(read["config"], {key: value for key, value in read.items() if key not in described})


def _updated(config: dict, changes: dict) -> dict:
    """The config with other values; mappings are merged."""
    both = {k for k, v in changes.items() if isinstance(v, dict) and isinstance(config.get(k), dict)}
    return {**config, **changes, **{key: _updated(config[key], changes[key]) for key in both}}


def fingerprint(path: str | Path) -> dict:
    """Path, size in bytes and SHA-256 of a file."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"path": str(path), "bytes": file.tell(), "sha256": digest}


def git_revision(root: str | Path) -> str | None:
    """Commit of the project, ``+changes`` when files differ from it; None where there is no repository."""

    def git(*arguments):
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if changes else commit


def package_versions(requirements: str | Path) -> dict[str, str]:
    """Installed version of each package in a requirements file; those that are absent are left out."""
    versions = {}
    for line in Path(requirements).read_text(encoding="utf-8").splitlines():
        name = line.partition("==")[0].strip()
        if name and not name.startswith("#"):
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    return versions


@functools.cache
def _read(source: str, package: str) -> tuple[str, tuple[str, ...]]:
    """A module's code without comments and docstrings, and the modules that it may import, anywhere in it."""
    tree = ast.parse(source)
    imports = []
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            imports += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parents, *([node.module] if node.module else [])])
            imports += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.dump(tree), tuple(imports)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """The node and all statements in it; what is in expressions are neither imports nor docstrings."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _statements(child)


@functools.cache
def _path_of(name: str, folders: tuple[Path, ...]) -> Path | None:
    """The file of a module of ours: of one in a package that lies in one of the folders."""
    package, _, inner = name.partition(".")
    for folder in folders:
        if not (folder / package / "__init__.py").is_file():
            continue
        place = folder.joinpath(package, *inner.split(".")) if inner else folder / package
        candidates = [place / "__init__.py", *([place.with_name(f"{place.name}.py")] if inner else [])]
        return next((path for path in reversed(candidates) if path.is_file()), None)
    return None


def _plain(value):
    """Mappings as dicts and sequences as lists, so that YAML can hold them."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
