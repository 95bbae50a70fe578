"""A config against its schema: what it may not say, in the user's words, and text values as what they mean."""

import contextlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from grids.io.errors import InputError, did_you_mean, listing, short_path

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


def check_schema(config: dict, schema: dict, source: str) -> None:
    """Raise an InputError with a line for each place where ``config`` breaks ``schema``."""
    # A misspelt key is the cause when another one then seems to be missing.
    rank = {"additionalProperties": 0, "required": 1}
    errors = _errors(config, schema, source)
    errors.sort(key=lambda error: (rank.get(error.validator, 2), [*map(str, error.absolute_path)]))
    messages = [f"{source}: {text}" for error in errors for text in _explain(error, schema)]
    if messages:
        raise InputError(*messages)


def sound_sections(config: dict, schema: dict, source: str) -> dict:
    """The top-level entries of a config that keep to the schema; none where a top-level key is unknown.

    What an unknown key was meant for is not known: whatever is said about the others may be wrong.
    """
    try:
        errors = _errors(config, schema, source)
    except InputError:
        return {}
    unsound = {str(error.absolute_path[0]) for error in errors if error.absolute_path}
    is_known = set(map(str, config)) <= set(schema["properties"])
    return {key: value for key, value in config.items() if is_known and str(key) not in unsound}


def _errors(config: dict, schema: dict, source: str) -> list:
    return list(Draft202012Validator(schema).iter_errors(_text_keys(config, source)))


def check_duplicates(path: str | Path) -> None:
    """Refuse a config file, JSON or YAML, that cannot be read as it was meant.

    Raises
    ------
    InputError
        It is neither or no mapping, says the same key twice (both languages keep only the last), or grows by aliases
        into more than :data:`MOST_NODES` values, or without end.
    """
    where = short_path(path)
    try:
        content = _read_json_or_yaml(Path(path).read_text(encoding="utf-8-sig"), where)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{where}: cannot be read as text ({error}); expected a YAML file in UTF-8"
        ) from None
    except RecursionError:
        raise InputError(f"{where}: nested too deeply; see config/README.md for the keys") from None
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected keys with values (run: name), found {_quote(content)}")


def _read_json_or_yaml(text: str, where: str):
    """In the order that Snakemake tries them; JSON that is indented by tabs is no YAML."""

    def mapping(pairs):
        for key, n in Counter(key for key, _ in pairs).items():
            if n > 1:
                raise InputError(f"{where}: '{key}' stands twice; merge the two")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=mapping)
    except InputError:
        raise
    except ValueError:
        return _read_yaml(text, where)


def _read_yaml(text: str, where: str):
    class Loader(yaml.SafeLoader):
        pass

    def construct_mapping(loader, node):
        first_line = {}
        for key_node, _ in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if type(key) is int and str(key) != key_node.value:
                told = f"YAML reads the key {key_node.value} as the number {key}"
                raise InputError(f"{where}, line {line}: {told}; put it in quotes")
            if isinstance(key, str | int) and first_line.setdefault(str(key), line) != line:
                lines = f"in lines {first_line[str(key)]} and {line}"
                raise InputError(f"{where}: '{key}' stands twice, {lines}; merge the two")
        return loader.construct_mapping(node, deep=True)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, construct_mapping)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if root is not None and _n_nodes(root, {}) > MOST_NODES:
            raise InputError(f"{where}: its aliases (*name) unfold into too many values; write them out")
        return yaml.load(text, Loader)
    except (InputError, RecursionError):
        raise
    except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:
        raise InputError(
            f"{where}: this is no valid YAML ({error}); check indentation, colons and quotes"
        ) from None


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
    return with_values(config, schema, _read_text_value)


def with_values(config, schema: dict, change: Callable):
    """The same config with `change` of every value that holds no others and of its entry in the schema."""
    if isinstance(config, dict):
        entries = schema.get("properties", {})
        return {key: with_values(value, entries.get(key, {}), change) for key, value in config.items()}
    if isinstance(config, list):
        return [with_values(item, schema.get("items", {}), change) for item in config]
    return change(config, schema)


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


def _explain(error, schema: dict) -> list[str]:
    """One schema violation in the user's words, a line for each key that is unknown or missing."""
    place = _place(error.absolute_path)
    if error.validator not in ("additionalProperties", "required"):
        return [f"{place}: {_quote(error.instance)} is not allowed; expected {_expected(error)}"]
    known = error.schema.get("properties", schema["properties"])
    unknown = {key: did_you_mean(key, known) for key in error.instance if key not in known}
    if error.validator == "required":
        # A key that is there under a misspelt name is told as that.
        missing = [key for key in error.validator_value if key not in error.instance]
        missing = [key for key in missing if not any(f"'{key}'" in hint for hint in unknown.values())]
        places = {key: _place([*error.absolute_path, key]) for key in missing}
        return [f"'{places[key]}' is missing; give {known[key]['description']}" for key in missing]
    where, names = f"in '{place}'" if place else "at the top level", listing(known, limit=20)
    homes = {key: _home_of(key, schema) for key in unknown}
    hints = {key: f" It belongs to '{home}'." if home else unknown[key] for key, home in homes.items()}
    return [f"unknown key '{key}' {where}.{hint} Known keys: {names}" for key, hint in hints.items()]


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
        if home := _home_of(key, entry, (*path, name)):
            return home
    return None


def _quote(value) -> str:
    text = f"'{value}'" if isinstance(value, str) else str(value)
    text = {"True": "true", "False": "false", "None": "null"}.get(text, text)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read_text_value(value, entry: dict):
    types = entry.get("type", "string")
    if isinstance(value, str) and "string" not in types:
        for read in ({"null": None, "true": True, "false": False}.__getitem__, int, float):
            with contextlib.suppress(KeyError, ValueError):
                value = read(value)
                break
    # JSON schema takes 5.0 for a whole number, and YAML reads 5.0 and 5e0 as no whole number.
    if isinstance(value, float) and "integer" in types and value.is_integer():
        return int(value)
    return value
