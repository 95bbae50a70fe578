"""What the config may say about a table of evidence; imports nothing heavy, so that a run can check it first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from grids.io.errors import InputError, check_all

_FORMAT_OF_SUFFIX = {".bed": "bed", ".bedpe": "bedpe", ".tsv": "tsv", ".txt": "tsv"}


@dataclass(frozen=True)
class EvidenceTable:
    """An entry of the config's `evidence`.

    Attributes
    ----------
    name : str
    path : path
        Gzipped or not.
    format : {"bed", "bedpe", "tsv"}, optional
        By default told from the suffix.
    assembly : str, optional
        What the table declares.
    label : str, optional
        Column that tells positive links (TRUE, 1, yes, positive) from negative ones; by default the first of
        the label's aliases that is present.
    score, at_least, at_most : str, float, float, optional
        Instead of a label: the column of a score, and the lowest or highest value of a positive link. Without
        label and score every row is a positive link.
    cell_types : sequence of str, optional
        What it is held against; by default every cell type with explained genes.
    """

    name: str
    path: str | Path
    format: str | None = None
    assembly: str | None = None
    label: str | None = None
    score: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    cell_types: Sequence[str] | None = None

    @property
    def kind(self) -> str:
        """``bed``, ``bedpe`` or ``tsv``."""
        return format_of(self.path, self.format)


def format_of(path: str | Path, declared: str | None = None) -> str:
    """``bed``, ``bedpe`` or ``tsv``: what is declared, else from the file's suffix (``.gz`` does not count).

    Raises
    ------
    InputError
        Nothing is declared and the suffix says nothing.
    """
    suffix = Path(str(path).lower().removesuffix(".gz")).suffix
    if declared is None and suffix not in _FORMAT_OF_SUFFIX:
        raise InputError(
            f"{path}: the suffix '{suffix}' does not tell the format; set format to bed, bedpe or tsv"
        )
    return declared or _FORMAT_OF_SUFFIX[suffix]


def check_evidence(entries: Iterable[Mapping], source: str) -> None:
    """Refuse entries of the config's `evidence` whose keys contradict each other.

    Parameters
    ----------
    entries : iterable of mappings
        Each with `name` and `path`, and optionally `format label score at_least at_most`.
    source : str
        Where the config comes from.

    Raises
    ------
    InputError
        With a line for each entry that cannot be used.
    """
    entries = list(entries)
    names = [entry["name"] for entry in entries]
    check_all(
        partial(_check_entry, entry, entry["name"] in names[:i], source) for i, entry in enumerate(entries)
    )


def _check_entry(entry: Mapping, is_second: bool, source: str) -> None:
    where = f"{source}: evidence '{entry['name']}'"
    if is_second:
        raise InputError(f"{where}: this name stands twice; give every table a name of its own")
    label, score, *bounds = (entry.get(key) for key in ("label", "score", "at_least", "at_most"))
    n_bounds = sum(bound is not None for bound in bounds)
    try:
        kind = format_of(entry["path"], entry.get("format"))
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    if label is not None and (score is not None or n_bounds):
        raise InputError(f"{where}: label excludes score, at_least and at_most; keep one way to tell links")
    if n_bounds != (score is not None):
        raise InputError(
            f"{where}: score needs exactly one of at_least and at_most, and they need a score; for example "
            "score: score, at_least: 5"
        )
    if kind != "tsv" and (label is not None or score not in (None, "score")):
        raise InputError(
            f"{where}: a {kind} file has no column '{label or score}'; its one value is the column 'score': "
            "write score: score with at_least or at_most, or leave label and score out"
        )
