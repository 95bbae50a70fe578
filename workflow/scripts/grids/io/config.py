"""What a config may say, and one clear line for each thing it may not."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from grids.io.config_files import (
    ALL_GENES,
    INPUT_FILES,
    check_files,
    check_variables,
    is_address,
    is_url,
    read_tasks,
)
from grids.io.config_schema import check_schema, sound_sections
from grids.io.errors import InputError, check_all
from grids.io.levels import ACROSS_TYPES, ALL_TYPES, LEVELS, WITHIN_TYPE

_FORMAT_OF_SUFFIX = {".bed": "bed", ".bedpe": "bedpe", ".tsv": "tsv", ".txt": "tsv"}


def with_guests(schema: dict, *guests: dict, config: dict) -> dict:
    """The schema of a run: the study's, and those of its guests.

    Parameters
    ----------
    schema : dict
        JSON schema of a study's config.
    *guests : dict
        Schemas that add keys. One with `instead_of_study` brings its own data, and the words of it why: no study is
        then asked for, nor allowed. One with `beside_study` names the key that adds it to a study.

    Returns
    -------
    dict
        With ``instead_of_study``: the words by the keys of such guests; ``of_study``: keys that only a study has.
    """
    properties, instead, of_study = dict(schema["properties"]), {}, ["input", "tasks"]
    for guest in guests:
        properties |= guest["properties"]
        if "instead_of_study" in guest:
            instead |= dict.fromkeys(guest["properties"], guest["instead_of_study"])
        if "beside_study" in guest:
            of_study.append(guest["beside_study"])
    required = [] if {*instead} & {*config} else ["input", "tasks"]
    about = {"instead_of_study": instead, "of_study": of_study}
    return {**schema, **about, "properties": properties, "required": required}


def checked_tasks(
    config: dict, schema: dict, source: str, marker_sets: Iterable[str] = ()
) -> dict[str, list[str] | str]:
    """The tasks of a config, as read from YAML without defaults, in which everything else is right too.

    Raises
    ------
    InputError
        With a line for each thing that is wrong with keys, values, files or tasks.
    """
    sound = sound_sections(config, schema, source)
    *_, tasks = check_all(
        [
            partial(check, config, schema, source),
            partial(check_files, sound, schema, source, marker_sets),
            partial(read_tasks, sound.get("tasks", {}), source),
        ]
    )
    return tasks


def check(config: dict, schema: dict, source: str) -> None:
    """Refuse a config, as read from YAML without defaults, that no run can use; `source` is where it comes from.

    Raises
    ------
    InputError
        With a line for each thing that is wrong: a key that is unknown or missing, a value that is not allowed, or
        keys that contradict each other. Of a section that breaks the schema, nothing more is said.
    """
    sound = sound_sections(config, schema, source)
    unsound = {*config} - {*sound}
    contradictions = _contradictions(config, sound, schema, source)
    check_all(
        [
            partial(check_schema, config, schema, source),
            *(check for sections, check in contradictions if not unsound & sections),
        ]
    )


def _contradictions(
    config: dict, sound: dict, schema: dict, source: str
) -> Iterator[tuple[set[str], Callable]]:
    """Checks of keys against each other, each behind the sections that it looks at."""
    instead = schema.get("instead_of_study", {})
    if {*instead} & {*config}:
        yield {*schema["of_study"], *instead}, partial(_check_no_study, sound, schema, source)
    elif "input" in sound:
        yield {"input"}, partial(_check_input, sound["input"], source)
    split = sound.get("preprocessing", {}).get("split", {})
    yield set(), partial(check_variables, config.get("results", ""), f"{source}: results")
    yield {"preprocessing"}, partial(_check_split, split, schema, source)
    yield {"search"}, partial(_check_start, sound.get("search", {}), source)
    yield {"search", "surrogate"}, partial(_check_scope, sound, schema, source)
    yield {"levels", "surrogate", "tasks"}, partial(_check_levels, sound, schema, source)
    yield {"states"}, partial(_check_states, sound.get("states", []), source)
    yield {"evidence"}, partial(check_evidence, sound.get("evidence", []), source)
    yield {"contacts"}, partial(_check_contacts, sound.get("contacts", {}), source)


def search_scope(config: dict) -> str:
    """Which peaks may be members: what the config (with its defaults) says, else what its surrogate can see."""
    by_model = {"window": "window", "cross_modality": "genome"}
    return config["search"]["scope"] or by_model[config["surrogate"]["model"]]


def levels_of(config: dict) -> list[str]:
    """Levels of evidence: what the config (with its defaults) says, else all that its surrogate can be asked for."""
    by_model = {"window": list(LEVELS), "cross_modality": [WITHIN_TYPE]}
    return config["levels"] or by_model[config["surrogate"]["model"]]


def with_levels(tasks: dict[str, list[str] | str], levels: Collection[str]) -> dict[str, list[str] | str]:
    """The tasks of each level: of cell types, and of all types for the genes that any of them has.

    Tasks that the config gives of all types stay as they are.
    """
    of_types = {cell_type: genes for cell_type, genes in tasks.items() if cell_type != ALL_TYPES}
    asked = of_types if WITHIN_TYPE in levels else {}
    if ALL_TYPES in tasks:
        return asked | {ALL_TYPES: tasks[ALL_TYPES]}
    if ACROSS_TYPES not in levels or not of_types:
        return asked
    wants_all = ALL_GENES in of_types.values()
    genes = ALL_GENES if wants_all else list(dict.fromkeys(itertools.chain(*of_types.values())))
    return asked | {ALL_TYPES: genes}


def search_fill(config: dict) -> bool:
    """Whether peaks that do nothing fill a set: as the config (with its defaults) says, else if none does nothing."""
    fill = config["search"]["fill"]
    return config["surrogate"]["model"] == "cross_modality" if fill is None else fill


def search_direction(config: dict) -> str:
    """What is sought: what the config (with its defaults) says, else what its surrogate is made to tell."""
    by_model = {"window": "change", "cross_modality": "silence"}
    return config["search"]["direction"] or by_model[config["surrogate"]["model"]]


def _check_no_study(config: dict, schema: dict, source: str) -> None:
    """A guest that makes or brings its own data stands alone."""
    instead = schema["instead_of_study"]
    name, *others = (name for name in instead if name in config)
    given = others or [key for key in schema["of_study"] if key in config]
    if given:
        given = " and ".join(given)
        raise InputError(
            f"{source}: {name} and {given} exclude each other: {instead[name]}; take {given} out, or {name}"
        )


def _check_input(inputs: dict, source: str) -> None:
    """Exactly one kind of data, with everything that it needs."""
    given = [key for key in ("simulation", "multiome", "rna", "atac") if inputs.get(key) is not None]
    kinds = "one of simulation, multiome, or rna and atac"
    if not given:
        raise InputError(
            f"{source}: input: no data; give {kinds}, for example input: {{multiome: cells.h5mu}}"
        )
    if given in (["rna"], ["atac"]):
        other = "atac" if given == ["rna"] else "rna"
        raise InputError(f"{source}: input.{given[0]} is given without input.{other}; give both")
    if len(given) > 1 and given != ["rna", "atac"]:
        raise InputError(f"{source}: input: {' and '.join(given)} exclude each other; give {kinds}")
    if "simulation" not in given and not inputs.get("genes"):
        raise InputError(
            f"{source}: input.genes is missing; give the path or URL of a GTF or BED file with the genes"
        )
    for key in inputs.get("checksums", {}):
        if not inputs.get(key):
            raise InputError(f"{source}: input.checksums.{key} is given, but input.{key} is not")
    for key in INPUT_FILES:
        path = inputs.get(key)
        if path and is_url(path) and not is_address(path):
            raise InputError(
                f"{source}: input.{key}: '{path}' is no http or https address; expected https://server/path/file"
            )


def _check_split(split: dict, schema: dict, source: str) -> None:
    defaults = schema["properties"]["preprocessing"]["properties"]["split"]["properties"]
    shares = {name: split.get(name, entry["default"]) for name, entry in defaults.items()}
    if abs(sum(shares.values()) - 1) > 1e-6:
        told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise InputError(
            f"{source}: preprocessing.split: the shares must sum to 1, but {told} sum to {sum(shares.values()):g}"
        )


def _check_start(search: dict, source: str) -> None:
    """A given start needs given sets, and given sets are there to start from."""
    is_given, given = search.get("start") == "given", search.get("given")
    if is_given and not given:
        raise InputError(f"{source}: search.start is given; name the table of sets in search.given")
    if given and not is_given:
        raise InputError(f"{source}: search.given is '{given}'; write search.start: given to start from it")


def _check_scope(config: dict, schema: dict, source: str) -> None:
    """The window surrogate sees no peaks but those of the window."""
    surrogate = schema["properties"]["surrogate"]["properties"]
    model = config.get("surrogate", {}).get("model", surrogate["model"]["default"])
    if model == "window" and config.get("search", {}).get("scope") == "genome":
        raise InputError(
            f"{source}: search.scope is genome, but the window surrogate sees only the peaks in the gene's "
            "window; leave search.scope out, or write surrogate: {model: cross_modality}"
        )


def _check_levels(config: dict, schema: dict, source: str) -> None:
    """The cross-modality surrogate has no model of all types: it is specialised on one."""
    model = config.get("surrogate", {}).get(
        "model", schema["properties"]["surrogate"]["properties"]["model"]["default"]
    )
    if model == "window":
        return
    instead = "write surrogate: {model: window}"
    if ACROSS_TYPES in (config.get("levels") or []):
        raise InputError(
            f"{source}: levels: {ACROSS_TYPES} needs the window surrogate; leave it out, or {instead}"
        )
    if ALL_TYPES in config.get("tasks", {}):
        raise InputError(
            f"{source}: tasks: '{ALL_TYPES}' needs the window surrogate; name cell types, or {instead}"
        )


def _check_states(states: list[dict], source: str) -> None:
    keys = [entry["key"] for entry in states]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise InputError(
            *(f"{source}: states: key '{key}' stands twice; give every column once" for key in twice)
        )


def _check_contacts(contacts: dict, source: str) -> None:
    """Contact maps are large and read piece by piece: they have to be there."""
    for key in ("map", "tads"):
        path = contacts.get(key)
        if path and is_url(path):
            raise InputError(f"{source}: contacts.{key}: '{path}' is a URL; download it and give its path")
    if "::" in (contacts.get("map") or ""):
        raise InputError(
            f"{source}: contacts.map: '{contacts['map']}' names a part of a file; give the path of the .mcool, and "
            "contacts.resolution_bp"
        )
    if contacts.get("resolution_bp") is not None and not contacts.get("map"):
        raise InputError(f"{source}: contacts.resolution_bp is given without contacts.map; give the map too")


@dataclass(frozen=True)
class EvidenceTable:
    """An entry of the config's `evidence`, whose keys ``workflow/schemas/config.schema.yaml`` describes.

    Without `label` the first of its aliases that is present is the label (TRUE, 1, yes, positive; or not). A `score`
    with `at_least` or `at_most` takes its place; without any of them every row is a positive link.
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


def check_evidence(entries: Sequence[Mapping], source: str) -> None:
    """Refuse entries of the config's `evidence` whose keys contradict each other; `source` is where they come from.

    Raises
    ------
    InputError
        With a line for each entry that cannot be used.
    """
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
