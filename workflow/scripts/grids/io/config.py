"""What a config may say, and one clear line for each thing it may not."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from grids.io.config_schema import check_schema, sound_sections, with_values
from grids.io.errors import InputError, check_all, did_you_mean, listing
from grids.io.evidence_tables import check_evidence
from grids.io.names import check_names, escape

_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})", re.ASCII)
INPUT_FILES = ("multiome", "rna", "atac", "genes")


def with_guests(schema: dict, *guests: dict, config: dict) -> dict:
    """The schema of a run: the study's, and those of its guests.

    Parameters
    ----------
    schema : dict
        JSON schema of a study's config.
    *guests : dict
        Schemas that add keys. One with `instead_of_study` brings its own data, and the words of it why: no study is
        then asked for, nor allowed. One with `beside_study` names the key that adds it to a study.
    config : dict

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
        sections = {*schema["of_study"], *instead}
        yield sections, partial(_check_no_study, sound, schema, source)
    elif "input" in sound:
        yield {"input"}, partial(_check_input, sound["input"], source)
    split = sound.get("preprocessing", {}).get("split", {})
    yield set(), partial(_check_variables, config.get("results", ""), f"{source}: results")
    yield {"preprocessing"}, partial(_check_split, split, schema, source)
    yield {"search"}, partial(_check_start, sound.get("search", {}), source)
    yield {"search", "surrogate"}, partial(_check_scope, sound, schema, source)
    yield {"states"}, partial(_check_states, sound.get("states", []), source)
    yield {"evidence"}, partial(check_evidence, sound.get("evidence", []), source)
    yield {"contacts"}, partial(_check_contacts, sound.get("contacts", {}), source)


def expand_paths(config, schema: dict):
    """The same config with ``~``, ``$NAME`` and ``${NAME}`` in its paths replaced by what they stand for.

    A path is a text whose entry in the schema says ``format: path``. One that is there under its very name stays as
    it is, as do URLs and variables that are not set.
    """
    return with_values(config, schema, _expanded)


def _expanded(value, entry: dict):
    is_path = isinstance(value, str) and entry.get("format") == "path"
    if not is_path or is_url(value) or os.path.lexists(value):
        return value
    return os.path.expanduser(os.path.expandvars(value))


def check_files(config: dict, schema: dict, source: str, marker_sets: Iterable[str] = ()) -> None:
    """Refuse local files that the config names and that are not there.

    `marker_sets` are the names of the marker tables that ship.

    Raises
    ------
    InputError
        With a line for each file that is missing, and what the schema says of it.
    """
    marker_sets, checks = sorted(marker_sets), []
    files = _local_paths(config, schema, marker_sets)
    markers, _ = files.get("input.markers", ("", {}))
    if markers and not os.path.exists(markers):
        del files["input.markers"]
        checks.append(partial(_refuse_markers, markers, marker_sets, source))
    for place, (path, entry) in files.items():
        expected = entry.get("description", "path of a file")
        checks.append(partial(check_file, path, f"{source}: {place}", expected))
    check_all(checks)


def _refuse_markers(markers: str, marker_sets: list[str], source: str) -> None:
    _check_variables(markers, f"{source}: input.markers")
    raise InputError(
        f"{source}: input.markers: '{markers}' is neither a file nor one of {listing(marker_sets)}."
        f"{did_you_mean(markers, marker_sets)}"
    )


def local_files(config: dict, schema: dict, marker_sets: Iterable[str] = ()) -> dict[str, str]:
    """The user's files on disk by what names them in the config; neither URLs nor marker tables that ship.

    What has ``format: path`` in the schema is a file, but for the folder of the results.
    """
    return {place: path for place, (path, _) in _local_paths(config, schema, marker_sets).items()}


def _local_paths(config: dict, schema: dict, marker_sets: Iterable[str]) -> dict[str, tuple[str, dict]]:
    """Paths of :func:`local_files`, and their entries in the schema."""
    shipped = {("input.markers", name) for name in marker_sets}
    return {
        place: (path, entry)
        for place, path, entry in _paths(config, schema)
        if path and place != "results" and (place, path) not in shipped
        if place == "input.markers" or not is_url(path)
    }


def _paths(value, schema: dict, place: str = "") -> Iterator[tuple[str, str, dict]]:
    """Every path in the config with its entry in the schema, behind its place (``evidence 'name'`` in a list)."""
    if isinstance(value, dict):
        entries = schema.get("properties", {})
        for key, entry in value.items():
            yield from _paths(entry, entries.get(key, {}), f"{place}.{key}" if place else str(key))
    elif isinstance(value, list) and "path" in schema.get("items", {}).get("properties", {}):
        entry = schema["items"]["properties"]["path"]
        yield from ((f"{place} '{named['name']}'", named["path"], entry) for named in value)
    elif isinstance(value, str) and schema.get("format") == "path":
        yield place, value, schema


def search_scope(config: dict) -> str:
    """Which peaks may be members: what the config (with its defaults) says, else what its surrogate can see."""
    by_model = {"window": "window", "cross_modality": "genome"}
    return config["search"]["scope"] or by_model[config["surrogate"]["model"]]


def search_fill(config: dict) -> bool:
    """Whether peaks that do nothing fill a set: what the config (with its defaults) says, else only where every peak
    does something.
    """
    fill = config["search"]["fill"]
    return config["surrogate"]["model"] == "cross_modality" if fill is None else fill


def is_url(path: str) -> bool:
    """Whether a path of the config is to be downloaded."""
    return "://" in str(path)


def downloads(inputs: dict) -> dict[str, dict[str, str | None]]:
    """What to download: file name -> its ``key``, ``url`` and ``checksum``.

    Files of the same name in two places get their key as a prefix.
    """
    urls = {key: inputs[key] for key in INPUT_FILES if inputs.get(key) and is_url(inputs[key])}
    names = {key: escape(unquote(Path(urlsplit(url).path).name) or key) for key, url in urls.items()}
    return {
        name if list(names.values()).count(name) == 1 else f"{key}.{name}": {
            "key": key,
            "url": urls[key],
            "checksum": inputs.get("checksums", {}).get(key),
        }
        for key, name in names.items()
    }


def check_file(path: str | Path, where: str, expected: str = "path of a file") -> None:
    """Raise an InputError when there is no such file, or its name cannot be used; the message begins with `where`."""
    if os.path.isdir(path):
        raise InputError(f"{where}: '{path}' is a folder; expected the {expected}")
    _check_variables(path, where)
    if not os.path.isfile(path):
        raise InputError(
            f"{where}: there is no file '{path}' (a relative path starts where snakemake runs, {Path.cwd()})"
        )
    check_names([str(path)], f"{where}: file names")
    if {"{", "}"} & {*str(path)}:
        raise InputError(
            f"{where}: '{path}' has a brace, which Snakemake reads as a wildcard; rename the file"
        )


def _check_variables(path: str | Path, where: str) -> None:
    """Refuse a path in which :func:`expand_paths` has left a variable."""
    names = [plain or braced for plain, braced in _VARIABLE.findall(str(path))]
    unset = next((name for name in names if name not in os.environ), None)
    if unset and not os.path.lexists(path):
        raise InputError(
            f"{where}: '{path}' names the variable {unset}, which is not set; set it (export {unset}=...), or write "
            "the path out"
        )


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


def is_address(url: str) -> bool:
    """Whether a URL is one of http or https that can be asked for."""
    try:
        parts = urlsplit(url)
    except ValueError:  # for example a bracket that is not closed
        return False
    is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    return is_web and url.isprintable() and " " not in url


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


def _check_states(states: list[dict], source: str) -> None:
    keys = [entry["key"] for entry in states]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
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
