"""Runs of the workflow as a user starts them, from a folder of their own."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import yaml

from grids.io import tables

ROOT = Path(__file__).parents[2]
# Several tests run at a time.
OPTIONS = ["--cores", "1"]


@dataclass(frozen=True)
class Run:
    """One call of Snakemake that has ended.

    Attributes
    ----------
    status : int
    told : str
        Everything it printed.
    folder : Path
        ``<results>/<run>`` of the config.
    """

    status: int
    told: str
    folder: Path

    @property
    def jobs(self) -> Counter:
        """How often each rule ran."""
        return Counter(re.findall(r"^(?:local)?rule (\w+):$", self.told, re.MULTILINE))

    @property
    def last_line(self) -> str:
        return self.told.rstrip().rpartition("\n")[2]

    def table(self, path: str, **options):
        return tables.read(self.folder / path, **options)


def write_config(folder: Path, config: dict, name: str = "study.yaml") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return path


def command(*arguments) -> list[str]:
    return [sys.executable, "-m", "snakemake", *map(str, arguments), "--snakefile", str(ROOT / "Snakefile")]


def run(folder: Path, config: dict, *targets: str, options: list | tuple = ()) -> Run:
    """Run the workflow in `folder`.

    Parameters
    ----------
    folder : Path
        Made when missing; the config is written there and paths in it start there.
    config : dict
    *targets : str
        Files below ``<results>/<run>``, or rules; everything by default.
    options : list
        More of Snakemake's options.
    """
    path = write_config(folder, config)
    results = Path(config.get("results", "results"), config.get("run", "run"))
    files = [target if re.fullmatch(r"\w+", target) else results / target for target in targets]
    result = subprocess.run(
        command(*files, *OPTIONS, *options, "--configfile", path.name),
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Run(result.returncode, result.stdout, folder / results)


def succeed(folder: Path, config: dict, *targets: str, options: list | tuple = ()) -> Run:
    """:func:`run`, which must end well."""
    result = run(folder, config, *targets, options=options)
    assert result.status == 0, result.told[-5000:]
    return result


def updated(config: dict, changes: dict) -> dict:
    """The config with other values; mappings are merged, except the tasks."""
    merged = dict(config)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(config.get(key), dict) and key != "tasks"
        merged[key] = updated(config[key], value) if both else value
    return merged


def marked(columns, *more):
    """Columns of a table of results: the level first, and behind what names the task whether it passed the gate."""
    place = 1 + max(columns.index(name) for name in ("direction", "applied_to") if name in columns)
    return ["level", *columns[:place], "passed_gate", *more, *columns[place:]]


# Tables about sets that every study has, and their columns.
OF_SETS = {
    "redundancy.tsv": marked(tables.REDUNDANCY_COLUMNS),
    "members.tsv": marked(tables.MEMBER_COLUMNS),
    "interactions.tsv": marked(tables.INTERACTION_COLUMNS),
    "knock_down.tsv": marked(tables.KNOCK_DOWN_COLUMNS),
    "alternative_sets.tsv": marked(tables.ALTERNATIVE_COLUMNS),
    "specificity.tsv": marked(tables.SPECIFICITY_COLUMNS, "passed_gate_where_applied"),
    "atlas_summary.tsv": tables.ATLAS_COLUMNS,
}
