"""What a config may say, and one clear line for each thing it may not."""

import csv
import math
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from jsonschema import Draft202012Validator

from grids.errors import InputError, did_you_mean, listing
from grids.evidence.settings import check_evidence
from grids.names import check_names, escape

INPUT_FILES = ("multiome", "rna", "atac", "genes")
# What a cell type's tasks may be instead of a list.
ALL_GENES = "all"
# What runs instead of a study, and where its data come from.
BENCHMARKS = {
    "truth": "the truth benchmark simulates its own data",
    "mnist": "the image benchmark has its own digits",
    "synthetic": "the synthetic benchmark draws its own data",
    "scale": "the scale benchmark generates its own data",
}
MOST_NODES = 1_000_000  # values of a config
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping (key: value)",
    "null": "null",
}
_LIMITS = {
    "minimum": "of at least",
    "exclusiveMinimum": "above",
    "maximum": "of at most",
    "exclusiveMaximum": "below",
}


def check(config: dict, schema: dict, source: str) -> None:
    """Refuse a config that no run can use.

    Parameters
    ----------
    config : dict
        As read from YAML; without defaults.
    schema : dict
        JSON schema of the config.
    source : str
        Where the config comes from, named in the message.

    Raises
    ------
    InputError
        For the first thing that is wrong: a key that is unknown or missing, a value that is not allowed, or
        keys that contradict each other.
    """
    check_schema(config, schema, source)
    if any(name in config for name in BENCHMARKS):
        _check_no_study(config, schema, source)
    else:
        _check_input(config["input"], source)
    _check_split(config.get("preprocessing", {}).get("split", {}), schema, source)
    _check_start(config.get("search", {}), source)
    _check_scope(config, schema, source)
    _check_states(config.get("states", []), source)
    check_evidence(config.get("evidence", []), source)
    _check_contacts(config.get("contacts", {}), source)


def check_schema(config: dict, schema: dict, source: str) -> None:
    """Raise an InputError for the first place where ``config`` breaks ``schema``."""
    errors = sorted(Draft202012Validator(schema).iter_errors(_text_keys(config, source)), key=_importance)
    if errors:
        raise InputError(f"{source}: {_explain(errors[0], schema)}")


def check_files(config: dict, source: str, marker_sets: Iterable[str] = ()) -> None:
    """Refuse local files that are not there: input, marker tables, given sets, gene classes, evidence, contacts,
    digits.

    Parameters
    ----------
    config : dict
    source : str
        Where the config comes from, named in the message.
    marker_sets : iterable of str
        Names of the marker tables that ship.

    Raises
    ------
    InputError
        For the first file that is missing.
    """
    marker_sets = sorted(marker_sets)
    markers = config.get("input", {}).get("markers")
    if markers and markers not in marker_sets and not os.path.isfile(markers):
        raise InputError(
            f"{source}: input.markers: '{markers}' is neither a file nor one of {listing(marker_sets)}."
            f"{did_you_mean(markers, marker_sets)}"
        )
    for key, path in local_files(config, marker_sets).items():
        _check_file(path, f"{source}: {key}")


def local_files(config: dict, marker_sets: Iterable[str] = ()) -> dict[str, str]:
    """The user's files on disk by what names them in the config; neither URLs nor marker tables that ship.

    Parameters
    ----------
    config : dict
    marker_sets : iterable of str
        Names of the marker tables that ship.
    """
    inputs = config.get("input", {})
    files = {f"input.{key}": inputs.get(key) for key in INPUT_FILES}
    files["search.given"] = config.get("search", {}).get("given")
    files["redundancy.gene_classes"] = config.get("redundancy", {}).get("gene_classes")
    files |= {f"evidence '{entry['name']}'": entry["path"] for entry in config.get("evidence", [])}
    idx_files = config.get("mnist", {}).get("idx_files") or {}
    files |= {f"mnist.idx_files.{key}": path for key, path in idx_files.items()}
    files |= {f"contacts.{key}": config.get("contacts", {}).get(key) for key in ("map", "tads")}
    if inputs.get("markers") not in {*marker_sets}:
        files["input.markers"] = inputs.get("markers")
    if isinstance(config.get("tasks"), str):
        files["tasks"] = config["tasks"]
    return {key: path for key, path in files.items() if path and not is_url(path)}


def check_duplicates(path: str | Path) -> None:
    """Refuse a YAML file that cannot be read as it was meant.

    Raises
    ------
    InputError
        It is no YAML or no mapping, says the same key twice (YAML itself keeps only the last), or grows by aliases
        into more than :data:`MOST_NODES` values, or without end.
    """

    class Loader(yaml.SafeLoader):
        pass

    def construct_mapping(loader, node):
        first_line = {}
        for key_node, _ in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if isinstance(key, str) and first_line.setdefault(key, line) != line:
                where = f"in lines {first_line[key]} and {line}"
                raise InputError(f"{short_path(path)}: '{key}' stands twice, {where}; merge the two")
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, construct_mapping)
    where = short_path(path)
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None and _n_nodes(root, {}) > MOST_NODES:
            raise InputError(f"{where}: its aliases (*name) unfold into too many values; write them out")
        content = yaml.load(text, Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{where}: cannot be read as text ({error}); expected a YAML file in UTF-8"
        ) from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply; see config/README.md for the keys") from None
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise InputError(
            f"{where}: this is no valid YAML ({error}); check indentation, colons and quotes"
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected keys with values (run: name), found {_quote(content)}")


def _n_nodes(node: yaml.Node, known: dict[int, float]) -> float:
    """Values below a node with all aliases unfolded; infinite where one holds itself."""
    if id(node) not in known:
        known[id(node)] = float("inf")  # met again before it is done: it holds itself
        below = node.value if isinstance(node, yaml.CollectionNode) else []
        children = (child for entry in below for child in (entry if isinstance(entry, tuple) else (entry,)))
        known[id(node)] = 1 + sum(_n_nodes(child, known) for child in children)
    return known[id(node)]


def read_text_values(config: dict, schema: dict) -> dict:
    """The same config with the numbers, booleans and nulls that came as text, and whole numbers as such.

    YAML reads ``1e4`` as text, and ``snakemake --config 'search={set_size: 5}'`` passes every nested value as
    text. Values stay as they are where the schema allows text.
    """
    entries = schema.get("properties", {})
    return {key: _read_text_value(value, entries.get(key, {})) for key, value in config.items()}


def search_scope(config: dict) -> str:
    """Which peaks may be members: what the config says, else what its surrogate can see.

    Parameters
    ----------
    config : dict
        With its defaults filled in.
    """
    by_model = {"window": "window", "cross_modality": "genome"}
    return config["search"]["scope"] or by_model[config["surrogate"]["model"]]


def explainer_settings(config: dict, methods: Iterable[str]) -> dict[str, dict]:
    """Keywords of each method; CXPlain has the same for every window, and GRIDS searches as in the run itself.

    Parameters
    ----------
    config : dict
        With its defaults filled in.
    methods : iterable of str
    """
    search = {key: config["search"][key] for key in ("candidates", "restarts", "batch_size", "max_rounds")}
    settings = {"grids": search, **config["explainers"]}
    return {
        method: settings.get("cxplain" if method.startswith("cxplain_") else method, {}) for method in methods
    }


def read_tasks(tasks: dict | str, source: str) -> dict[str, list[str] | str]:
    """The genes to explain per cell type, from the config's mapping or from the TSV that it names.

    The mapping may say :data:`ALL_GENES` instead of a list.

    Raises
    ------
    InputError
        When the table is missing, lacks a column, has an empty field, or names a task twice.
    """
    if not isinstance(tasks, str):
        return {
            str(cell_type): genes if genes == ALL_GENES else list(genes) for cell_type, genes in tasks.items()
        }
    path = Path(tasks)
    _check_file(path, f"{source}: tasks")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _tasks_of_rows(csv.DictReader(file, delimiter="\t", strict=True), tasks)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{tasks}: cannot be read as a tab-separated text file ({error})") from None


def _tasks_of_rows(rows: csv.DictReader, tasks: str) -> dict[str, list[str]]:
    columns = rows.fieldnames or []
    for column in ("cell_type", "gene"):
        if columns.count(column) != 1:
            problem = "is missing" if column not in columns else "stands twice"
            raise InputError(
                f"{tasks}: column '{column}' {problem}; the header must be 'cell_type<tab>gene', "
                f"it is: {listing(columns) or 'empty'}"
            )
    found: dict[str, list[str]] = {}
    for row in rows:
        where = f"{tasks}, line {rows.line_num}"
        if None in row:
            raise InputError(
                f"{where}: more fields than columns; expected one cell type and one gene per line"
            )
        cell_type, gene = ((row[column] or "").strip() for column in ("cell_type", "gene"))
        if not cell_type or not gene:
            raise InputError(f"{where}: {'gene' if cell_type else 'cell_type'} is empty")
        check_names((cell_type, gene), f"{where}: names")
        if gene in found.setdefault(cell_type, []):
            raise InputError(f"{where}: task {cell_type}, {gene} stands twice")
        found[cell_type].append(gene)
    if not found:
        raise InputError(f"{tasks}: no tasks below the header")
    return found


def short_path(path: str | Path) -> str:
    """A path as a user would write it: relative when it lies below the working directory."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


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


def _check_file(path: str | Path, where: str) -> None:
    if not os.path.isfile(path):
        raise InputError(
            f"{where}: there is no file '{path}' (a relative path starts where snakemake runs, {Path.cwd()})"
        )
    check_names([str(path)], f"{where}: file names")
    if {"{", "}"} & {*str(path)}:
        raise InputError(
            f"{where}: '{path}' has a brace, which Snakemake reads as a wildcard; rename the file"
        )


def _check_no_study(config: dict, schema: dict, source: str) -> None:
    """A benchmark that makes or brings its own data stands alone."""
    name, *others = (name for name in BENCHMARKS if name in config)
    given = others or [key for key in ("input", "tasks", "benchmark") if key in config]
    if given:
        given = " and ".join(given)
        raise InputError(
            f"{source}: {name} and {given} exclude each other: {BENCHMARKS[name]}; take {given} out, or {name}"
        )
    idx_files = config.get("mnist", {}).get("idx_files") or {}
    if bool(idx_files.get("test_images")) != bool(idx_files.get("test_labels")):
        raise InputError(f"{source}: mnist.idx_files: give both test_images and test_labels, or neither")
    _check_scale(config.get("scale", {}), schema, source)


def _check_scale(scale: dict, schema: dict, source: str) -> None:
    """No point of the scale benchmark may ask for cells with most peaks open, or sets that are most peaks."""
    defaults = schema["properties"]["scale"]["properties"]
    sizes = {
        size: [
            scale.get("middle", {}).get(size, defaults["middle"]["properties"][size]["default"]),
            *scale.get("vary", {}).get(size, defaults["vary"]["properties"][size]["default"]),
        ]
        for size in ("n_peaks", "n_open", "set_size", "candidates")
    }
    for size in ("n_open", "set_size", "candidates"):
        # One size at a time is varied: the largest value meets the middle point's peaks, and the other way round.
        for value, n_peaks in (
            (max(sizes[size]), sizes["n_peaks"][0]),
            (sizes[size][0], min(sizes["n_peaks"])),
        ):
            if 4 * value > n_peaks:
                raise InputError(
                    f"{source}: scale: {size} {value} is more than a quarter of n_peaks {n_peaks}; lower it, or take "
                    "more peaks"
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
        if path and is_url(path) and not _is_address(path):
            raise InputError(
                f"{source}: input.{key}: '{path}' is no http or https address; expected https://server/path/file"
            )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and url.isprintable()
            and " " not in url
        )
    except ValueError:  # for example a bracket that is not closed
        return False


def _check_split(split: dict, schema: dict, source: str) -> None:
    defaults = schema["properties"]["preprocessing"]["properties"]["split"]["properties"]
    shares = {name: split.get(name, entry["default"]) for name, entry in defaults.items()}
    if abs(sum(shares.values()) - 1) > 1e-6:
        told = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        total = sum(shares.values())
        raise InputError(
            f"{source}: preprocessing.split: the shares must sum to 1, but {told} sum to {total:g}"
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
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(f"{source}: states: key '{key}' stands twice; give every column once")


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


def _text_keys(value, source: str, path: tuple = ()):
    """The same config with text keys: YAML reads ``1:`` as a number, and clusters are often called so."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str | int) or isinstance(key, bool):
                place = _place(path) or "top level"
                raise InputError(f"{source}: {place}: YAML reads a key as {_quote(key)}; put it in quotes")
        return {str(key): _text_keys(entry, source, (*path, str(key))) for key, entry in value.items()}
    if isinstance(value, list):
        return [_text_keys(entry, source, (*path, i)) for i, entry in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{source}: {_place(path)}: {value} is not allowed; expected a finite number")
    return value


def _importance(error) -> tuple:
    """Unknown keys first: a misspelt key is the cause when another one then seems to be missing."""
    order = {"additionalProperties": 0, "required": 1}
    return order.get(error.validator, 2), [str(part) for part in error.absolute_path]


def _explain(error, schema: dict) -> str:
    """One schema violation in the user's words."""
    place = _place(error.absolute_path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = next(key for key in error.instance if key not in known)
        where = f"in '{place}'" if place else "at the top level"
        home = _home_of(unknown, schema)
        hint = f" It belongs to '{home}'." if home else did_you_mean(unknown, known)
        return f"unknown key '{unknown}' {where}.{hint} Known keys: {listing(known, limit=20)}"
    if error.validator == "required":
        missing = next(key for key in error.validator_value if key not in error.instance)
        entry = error.schema.get("properties", schema["properties"])[missing]
        return f"'{_place([*error.absolute_path, missing])}' is missing; give {entry['description']}"
    return f"{place}: {_quote(error.instance)} is not allowed; expected {_expected(error)}"


def _expected(error) -> str:
    """What a value should have been, from its schema."""
    entry, value = error.schema, error.instance
    if error.validator == "uniqueItems":
        twice = next(item for i, item in enumerate(value) if item in value[:i])
        return f"each value once, '{twice}' stands twice"
    if "enum" in entry:
        names = ["null" if option is None else option for option in entry["enum"]]
        return f"one of {', '.join(names)} ({entry['description']}).{did_you_mean(value, names)}".rstrip(".")
    types = [entry["type"]] if isinstance(entry["type"], str) else entry["type"]
    expected = " or ".join(_TYPES[name] for name in types)
    expected += "".join(f" {words} {entry[limit]}" for limit, words in _LIMITS.items() if limit in entry)
    if any(entry.get(limit) for limit in ("minLength", "minItems", "minProperties")):
        expected += ", not empty"
    return f"{expected} ({entry['description']})"


def _place(path: Iterable) -> str:
    """``tasks.Oligo[1]`` from the keys and positions that lead to a value."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _home_of(key: str, schema: dict, path: tuple = ()) -> str | None:
    """The section of the schema that does know ``key``."""
    for name, entry in schema.get("properties", {}).items():
        if name == key:
            return ".".join(path) or "top level"
        home = _home_of(key, entry, (*path, name))
        if home is not None:
            return home
    return None


def _quote(value) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    text = {"True": "true", "False": "false", "None": "null"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read_text_value(value, entry: dict):
    if isinstance(value, dict):
        return read_text_values(value, entry)
    if isinstance(value, list):
        return [_read_text_value(item, entry.get("items", {})) for item in value]
    types = entry.get("type", "string")
    if isinstance(value, str) and "string" not in types:
        value = _from_text(value)
    # JSON schema takes 5.0 for a whole number, and YAML reads 5.0 and 5e0 as no whole number.
    if isinstance(value, float) and "integer" in types and value.is_integer():
        return int(value)
    return value


def _from_text(text: str):
    if text in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text
