"""The sizes at which the stages are measured: a star around a middle point, the paper's own sizes, and many cells."""

from collections.abc import Mapping

from grids.io.errors import InputError

DATA_SIZES = ("n_cells", "n_peaks", "n_open", "n_genes")
SIZES = (*DATA_SIZES, "set_size", "candidates")
PAPER_SIZES = {"n_cells": 10_266, "n_peaks": 127_219, "n_open": 4_811, "n_genes": 3_000, "candidates": 32}
# Of the points with many cells.
MANY_SIZES = {"n_peaks": 200_000, "n_open": 2_000, "n_genes": 1_000, "set_size": 10, "candidates": 32}
MANY_STAGES = ["preprocessing", "pooling", "quality", "effects"]
# What each stage's cost may depend on: it is measured where one of these is varied. The dense steps would only
# cost time elsewhere. Training is measured where it makes the surrogate that the others use.
SIZES_OF_STAGE = {
    "preprocessing": DATA_SIZES,
    "pooling": ("n_cells", "n_peaks", "n_open"),
    "atac_step": ("n_cells", "n_peaks", "n_open"),
    "rna_step": ("n_genes",),
    "mapping_step": ("n_peaks", "n_open", "n_genes"),
    "search_step": SIZES,
    "search": SIZES,
    "effects": (*DATA_SIZES, "set_size"),
    "redundancy": DATA_SIZES,
    "paper_atac_step": ("n_peaks", "n_open"),
    "dense_paper_atac_step": ("n_peaks",),
    "paper_search_step": ("n_peaks", "n_open", "set_size", "candidates"),
    "dense_paper_search_step": ("n_peaks",),
}
# Whole searches, and training by the paper's recipe, at the paper's sizes; each measured where the config asks for it.
ASKED_STAGES = {
    "all_tasks": "tasks_per_type",
    "many_genes": "genes_of_one_type",
    "atac_training": "paper_epochs",
    "paper_atac_training": "paper_epochs",
    "paper_training": "paper_epochs",
}


def points(scale: Mapping) -> dict[str, dict]:
    """The points of the benchmark by name.

    Parameters
    ----------
    scale : mapping
        The ``scale`` block of the config: `middle`, `vary`, `paper`, `many_cells`; `tasks_per_type`,
        `genes_of_one_type`, `restarts` where whole searches, and `paper_epochs` where trainings are wanted at the
        points of the paper's size.

    Returns
    -------
    dict
        Of each point its sizes (:data:`SIZES`) and `varied`: the size in which it differs from the middle point
        (from the first point of the paper's size), ``all``, or ``many`` for the points with many cells. Many genes of
        one type are searched, and surrogates trained, at the first point of the paper's size only.
    """
    middle = {size: scale["middle"][size] for size in SIZES}
    found = {"middle": {"varied": "all", **middle}}
    for size, values in scale["vary"].items():
        for value in values:
            if value != middle[size]:
                found[f"{size}-{value}"] = {"varied": size, **middle, size: value}
    for i, set_size in enumerate(scale["paper"]):
        found[f"paper-{set_size}"] = {
            "varied": "set_size" if i else "all",
            **PAPER_SIZES,
            "set_size": set_size,
            "restarts": scale.get("restarts", 4),
            "tasks_per_type": scale.get("tasks_per_type", 0),
            "genes_of_one_type": 0 if i else scale.get("genes_of_one_type", 0),
            "paper_epochs": 0 if i else scale.get("paper_epochs", 0),
        }
    for n_cells in scale["many_cells"]:
        found[f"many-{n_cells}"] = {"varied": "many", "n_cells": n_cells, **MANY_SIZES}
    return found


def check_sizes(scale: Mapping, source: str) -> None:
    """Refuse points with most peaks open, and sets or candidates that are most peaks.

    Parameters
    ----------
    scale : mapping
        The ``scale`` block of the config, its defaults filled in.
    source : str
        Where the config comes from, named in the message.

    Raises
    ------
    InputError
    """
    sizes = {
        size: [scale["middle"][size], *scale["vary"][size]]
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


def asks_for_long_stages(scale: Mapping) -> bool:
    """Whether stages are measured that take from minutes to hours."""
    return any(scale.get(asked) for asked in ASKED_STAGES.values())


def training_stage_of(point: Mapping) -> str:
    """The stage that makes the surrogate of a point's data set."""
    return "training_pass" if point["varied"] == "many" else "training"


def dataset_of(point: Mapping) -> str:
    """Name of the data set of a point; points that only ask another question share it."""
    return "-".join(str(point[size]) for size in DATA_SIZES)


def data_files(point: Mapping) -> dict[str, str]:
    """Paths of the files of a point's data set, below the results of the run."""
    folder = f"<results>/scale/data/{dataset_of(point)}"
    names = {"raw": "raw.h5mu", "genes": "genes.bed", "preprocessed": "preprocessed.h5mu"}
    return {key: f"{folder}/{name}" for key, name in {**names, "surrogate": "surrogate.safetensors"}.items()}


def stages_of(point: Mapping) -> list[str]:
    """The stages measured at a point: all, or those that depend on what is varied, and those asked for; with many
    cells :data:`MANY_STAGES`.
    """
    varied = point["varied"]
    if varied == "many":
        return MANY_STAGES
    stages = [stage for stage, sizes in SIZES_OF_STAGE.items() if varied == "all" or varied in sizes]
    return stages + [stage for stage, asked in ASKED_STAGES.items() if point.get(asked)]
