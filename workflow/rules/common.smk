"""The checked config, the tasks, and the functions that rules share."""

import functools
import re
import shlex
import sys
import time
from pathlib import Path

import yaml
from snakemake.utils import validate

STARTED = time.time()

# Where this file lies, not the Snakefile: that may be another workflow's, which uses this one as a module.
if "://" in str(workflow.current_basedir):
    raise SystemExit(
        "error: this workflow has a library beside its rules, which a module by address does not bring: clone the "
        "repository, and give the module the path of its Snakefile"
    )
ROOT = Path(str(workflow.current_basedir)).parents[1]
if {"{", "}"} & {*str(ROOT)}:
    raise SystemExit(
        f"error: {ROOT}: Snakemake reads the braces in the path of this workflow as wildcards; rename the folder"
    )
SCRIPTS, BENCHMARKS = ROOT / "workflow" / "scripts", ROOT / "workflow" / "benchmarks"
# Rules and scripts find the packages wherever they lie and whatever runs them, and the user's own after them.
PACKAGES = [str(SCRIPTS), str(ROOT / "workflow")]
sys.path[:0] = PACKAGES
os.environ.update(
    PYTHONPATH=os.pathsep.join(PACKAGES + [*filter(None, [os.getenv("PYTHONPATH")])])
)

from grids.io.config import (
    checked_tasks,
    levels_of,
    search_direction,
    search_fill,
    search_scope,
    with_guests,
    with_levels,
)
from grids.io.config_files import (
    ALL_GENES,
    downloads,
    expand_paths,
    is_url,
    local_files,
)
from grids.io.config_schema import check_duplicates, read_text_values
from grids.io.errors import InputError, check_all, short_path
from grids.io.names import escape, unescape
from grids.io.levels import ALL_TYPES
from grids.exports.provenance import code_hash, config_of
from grids.exports.report import font_warnings, last_words, what_went_wrong
from grids.io.seeds import derive_seed
from grids.io.devices import THREADS
from grids.io.writing import check_writable

MARKER_SETS = {
    path.stem: str(path) for path in (ROOT / "resources" / "markers").glob("*.tsv")
}
CONFIG_FILES = [str(path) for path in workflow.overwrite_configfiles]
CONFIG_ARGS = list(workflow.config_settings.config_args or [])
CONFIG_SOURCE = " + ".join(
    [short_path(path) for path in CONFIG_FILES or workflow.configfiles or ["config"]]
    + ["--config"] * bool(CONFIG_ARGS)
)

# Told to jobs through the environment: as params, other words for the same run would rerun everything.
os.environ.setdefault("GRIDS_COMMAND", shlex.join(sys.argv))
os.environ.setdefault("GRIDS_CONFIG", CONFIG_SOURCE)

# Threads that wait for work by spinning take it from the other jobs of a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The one environment of all rules.
ENVIRONMENT = str(ROOT / "envs" / "grids.yaml")


def read_yaml(path):
    """A YAML file that is ours; the parser in C, where PyYAML has it, takes a tenth of the time."""
    return yaml.load(
        path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )


# The study's schema, and those of the benchmarks if the config names any: a study reads nothing of them.
GIVEN = config_of(config)
SCHEMAS = [ROOT / "workflow" / "schemas" / "config.schema.yaml"]
OWN_KEYS = {*read_yaml(SCHEMAS[0])["properties"]}
if {*GUESTS, *GUESTS.values()} & {*GIVEN} - OWN_KEYS:
    SCHEMAS += [BENCHMARKS / guest / "schema.yaml" for guest in GUESTS]
ASKED = [guest for guest, key in GUESTS.items() if key in GIVEN]
SCHEMA = with_guests(*map(read_yaml, SCHEMAS), config=GIVEN)
try:
    check_writable(Path.cwd(), "the working folder, which holds Snakemake's records,")
    check_all(functools.partial(check_duplicates, path) for path in CONFIG_FILES)
    GIVEN = expand_paths(read_text_values(GIVEN, SCHEMA), SCHEMA)
    config.clear()
    config.update(GIVEN)
    TASKS = checked_tasks(config, SCHEMA, CONFIG_SOURCE, MARKER_SETS)
except InputError as error:
    raise SystemExit(error.report)
# What is null is not given: `validate` would look for the keys of a mapping in it. A benchmark may have no input.
config["input"] = {
    key: value for key, value in config.get("input", {}).items() if value is not None
}
for path in SCHEMAS:
    part = {key: config[key] for key in read_yaml(path)["properties"] if key in config}
    validate(part, str(path))
    config.update(part)
# In one order, whatever was given and whatever is a default: a config that was resolved before is the same config.
config["input"] = dict(sorted(config["input"].items()))
config["search"]["scope"] = search_scope(config)
config["search"]["fill"] = search_fill(config)
config["search"]["direction"] = search_direction(config)
config["levels"] = levels_of(config)
TASKS = with_levels(TASKS, config["levels"])

RESULTS = str(Path(config["results"], config["run"]))
REPORT = f"{RESULTS}/report.html"
DOWNLOADS = downloads(config["input"])


def wildcard_of(cell_type):
    """A cell type's name in paths; never that of a file beside the type's: 'joint', or 'effects.tsv' and the like."""
    name = escape(cell_type)
    is_taken = name == "joint" or Path(name).suffix in (
        ".tsv",
        ".gz",
        ".md",
        ".tex",
        ".links",
    )
    return f"={ord(name[0]):02X}{name[1:]}" if is_taken else name


CELL_TYPES = {wildcard_of(cell_type): cell_type for cell_type in TASKS}


# Targets of guests: what they make beside a study, and what instead of one.
BESIDE, INSTEAD = [], []


pathvars:
    results=RESULTS,


wildcard_constraints:
    cell_type="|".join(re.escape(cell_type) for cell_type in CELL_TYPES) or "nothing",
    filename="|".join(re.escape(filename) for filename in DOWNLOADS) or "nothing",


def input_files(wildcards):
    """The config's data files by their config key: local ones, downloaded ones or the simulation's."""
    if config["input"].get("simulation") is not None:
        return {
            "multiome": "<results>/simulation/multiome.h5mu",
            "genes": "<results>/simulation/genes.bed.gz",
        }
    local = {
        key: config["input"][key]
        for key in ("multiome", "rna", "atac", "genes")
        if config["input"][key] and not is_url(config["input"][key])
    }
    return local | {
        entry["key"]: f"<results>/downloads/{filename}"
        for filename, entry in DOWNLOADS.items()
    }


def marker_file(wildcards):
    """The marker table: one that ships or the user's own, none without annotation."""
    markers = config["input"]["markers"]
    return MARKER_SETS.get(markers, markers) if markers else []


def described_files(wildcards):
    """The user's files by their config key, downloads included: what the results come from."""
    return local_files(config, SCHEMA, MARKER_SETS) | {
        f"input.{entry['key']}": f"{RESULTS}/downloads/{filename}"
        for filename, entry in DOWNLOADS.items()
    }


def flat(targets):
    """Paths in nested lists as one list: functions may not return lists of lists."""
    if isinstance(targets, str):
        return [targets]
    return [path for part in targets for path in flat(part)]


def described_results(wildcards):
    """What a run is for: a benchmark's targets, or sets and their effects."""
    return flat(INSTEAD) or ["<results>/sets.tsv", "<results>/effects.tsv"]


def stamps(*keys):
    """Size and time of the files that the config names under these keys.

    Snakemake misses a file that was replaced by an older one; params that depend on the input it does not compare.
    """
    found = {
        key: Path(path).stat()
        for key, path in local_files(config, SCHEMA, MARKER_SETS).items()
        if key.startswith(keys) and Path(path).exists()
    }
    return {key: (file.st_size, int(file.st_mtime)) for key, file in found.items()}


def file_of(section, key):
    """A file that the config may name; none otherwise."""
    return config[section][key] or []


def cell_type_of(wildcards):
    """The true name behind a path's cell type."""
    return CELL_TYPES[wildcards.cell_type]


def label_of(wildcards):
    """The cell type's true name in the report, where Snakemake would read braces as wildcards."""
    return label(cell_type_of(wildcards))


def label(name):
    """A name as the report shows it."""
    return name.translate(str.maketrans("{}", "()"))


def seed_for(step):
    """The seed of a step's job: its own for each step and wildcard.

    Steps that look at the same cells must draw the same openness of their peaks, by the run's own seed.
    """
    return lambda wildcards: derive_seed(config["seed"], step, *wildcards)


hash_once = functools.cache(code_hash)


def code_of(script, *modules):
    """Hash of the library code that a script and modules use, so that changed code reruns what it must.

    A benchmark's script has its folder before its name: ``truth/collect``.
    """
    folder, _, name = script.rpartition("/")
    place = BENCHMARKS / folder / "scripts" if folder else SCRIPTS
    return lambda wildcards: hash_once(place / f"{name}.py", modules)


def plain_figures(has):
    """The figures of the study's table and the guests' that a run draws, by name, with what draws and explains each.

    `has` says which of the tables' conditions hold.
    """
    folders = {"grids": ROOT / "workflow" / "report"}
    folders |= {f"benchmarks.{guest}": BENCHMARKS / guest / "report" for guest in ASKED}
    return {
        name: {
            **figure,
            "drawing": f"{package}.figures.{name}",
            "caption": str(folder / f"{name}.rst"),
        }
        for package, folder in folders.items()
        for name, figure in read_yaml(folder / "figures.yaml").items()
        if "only" not in figure or has.get(figure["only"], False)
    }


def shown(path, category, label, subcategory=None, caption=None):
    """A table of the results that the report shows; its caption has the table's name, or another."""
    caption = caption or Path(path).name.partition(".")[0]
    return report(
        f"<results>/{path}",
        caption=str(ROOT / "workflow" / "report" / f"{caption}.rst"),
        category=category,
        subcategory=subcategory,
        labels={"what": f"{label}, table"},
    )


def drawn(name):
    """The files of a plain figure."""
    return expand(f"<results>/figures/{name}.{{suffix}}", suffix=("pdf", "png", "svg"))


def size_mb(input):
    """Megabytes of the input files; a contact map does not count, it is read piece by piece."""
    sizes = dict(zip(input, input.size_files_mb))
    sizes.pop(config["contacts"]["map"], None)
    return sum(sizes.values())


# Large matrices are read from disk piece by piece.
MOST_MB = 32_000


# Where the cross-modality surrogate is trained. A resource, not a param: another device is no reason to run again.
DEVICE = (
    config["surrogate"]["device"]
    if config["surrogate"]["model"] == "cross_modality"
    else "cpu"
)

# What rules on a CUDA device ask for beside memory and time, and where those explain that ask much of the surrogate.
GPU = {"gpu": 1} if DEVICE.startswith("cuda") else {}
DEVICE_OF_TASKS = DEVICE if GPU else "cpu"


def memory(base_mb, per_input_mb):
    """Megabytes: a base and a multiple of the input files' size, up to a limit, more with every attempt."""
    return lambda wildcards, input, attempt: int(
        min(base_mb + per_input_mb * size_mb(input), MOST_MB) * attempt
    )


def memory_of_threads(base_mb, per_input_mb):
    """The same for jobs that explain genes with a process per thread, each of which takes half as much again."""
    of_one = memory(base_mb, per_input_mb)
    return lambda wildcards, input, threads, attempt: int(
        of_one(wildcards, input, attempt) * (threads + 1) / 2
    )


# Genes of a cell type for which one more thread pays, and threads at most: other types' jobs run beside.
GENES_PER_THREAD, MOST_THREADS = 10, 4


def threads_for_genes(wildcards):
    """Threads by the number of genes that a cell type has in the tasks; one where they are explained on a GPU."""
    if GPU:
        return 1
    genes = TASKS[cell_type_of(wildcards)]
    if genes == ALL_GENES:
        return MOST_THREADS
    return min(max(len(genes) // GENES_PER_THREAD, 1), MOST_THREADS)


def minutes(base, per_input_mb):
    """Minutes: a base and so much per megabyte of input, more with every attempt."""
    return lambda wildcards, input, attempt: int(
        (base + per_input_mb * size_mb(input)) * attempt
    )


# Classes of jobs: those that read nothing but tables, and those that let surrogates predict all genes of cells.
OF_TABLES = {
    "mem_mb": memory(2000, per_input_mb=50),
    "runtime": minutes(15, per_input_mb=0.2),
}
OF_PREDICTIONS = {
    "mem_mb": memory(6000, per_input_mb=20),
    "runtime": minutes(60, per_input_mb=0.5),
}


def per_cell_type(pattern):
    """The pattern's file of every cell type that has tasks."""
    return expand(pattern, cell_type=CELL_TYPES, allow_missing=True)


def window_settings(wildcards):
    """Settings of a cell type's surrogate; across types, metacells have sizes of their own to choose from."""
    settings = dict(config["window_surrogate"])
    across = settings.pop("metacell_sizes_across_types")
    return settings | (
        {"metacell_sizes": across} if cell_type_of(wildcards) == ALL_TYPES else {}
    )
