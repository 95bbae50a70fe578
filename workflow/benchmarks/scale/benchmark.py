"""The stages run and measured at one point."""

from collections.abc import Mapping

import pandas as pd
import torch
from tqdm import tqdm

from benchmarks.scale import explaining_stages, training_stages
from benchmarks.scale.measure import measure
from benchmarks.scale.points import SIZES, stages_of
from grids.io.logging import log

MEASUREMENT_COLUMNS = [
    "point", "varied", "stage", *SIZES, "threads", "repeat", "seconds", "cpu_seconds", "n_calls", "base_mb", "start_mb",
    "peak_mb", "result",
]  # fmt: skip


def measure_point(
    name: str, point: Mapping, files: Mapping, repeats: int, seed: int, stages: list[str] | None = None
) -> pd.DataFrame:
    """Measure stages at a point, each in a process of its own.

    Parameters
    ----------
    name : str
    point : mapping
        As from :func:`benchmarks.scale.points.points`.
    files : mapping of str to path
        `raw`, `genes`, `preprocessed`, `surrogate`.
    repeats : int
    seed : int
    stages : list of str, optional
        By default those of :func:`benchmarks.scale.points.stages_of`.

    Returns
    -------
    DataFrame, :data:`MEASUREMENT_COLUMNS`
        One row per stage and repeat.
    """
    rows = []
    for stage in tqdm(stages_of(point) if stages is None else stages, desc=name, unit="stage"):
        module = training_stages if hasattr(training_stages, stage) else explaining_stages
        prepare = getattr(module, stage)
        found = measure(lambda prepare=prepare: prepare(files, point, seed), repeats)
        log.info("%s, %s: %.4g s, %.0f MB", name, stage, found[-1]["seconds"], found[-1]["peak_mb"])
        labels = {"point": name, **point, "stage": stage, "threads": torch.get_num_threads()}
        rows += [labels | row for row in found]
    return pd.DataFrame(rows, columns=MEASUREMENT_COLUMNS)
