"""Time and memory are those of the work, in a process of its own."""

import os
import time
from threading import Thread

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config

from benchmarks.scale import measure as module
from benchmarks.scale.measure import measure

MB = 2**20


def allocate(n_mb):
    return float(np.ones(n_mb * MB, np.uint8)[::4096].sum())


def test_memory_is_that_of_the_work_alone():
    def prepare():
        kept = np.ones(100 * MB, np.uint8)
        return lambda: allocate(200) + kept[0]

    (large,) = measure(prepare, 1)
    (small,) = measure(lambda: lambda: allocate(1), 1)
    assert 95 < large["start_mb"] - large["base_mb"] < 130
    assert 190 < large["peak_mb"] - large["start_mb"] < 230
    assert small["peak_mb"] - small["base_mb"] < 30
    assert large["result"] == 200 * 256 + 1


def test_short_work_is_averaged_over_many_calls():
    rows = measure(lambda: lambda: float(sum(range(1000))), 3)
    assert [row["repeat"] for row in rows] == [1, 2, 3]
    assert all(row["n_calls"] > 10 and row["seconds"] > 0 and row["cpu_seconds"] > 0 for row in rows)


def test_what_only_the_first_call_takes_does_not_count():
    def prepare():
        first = iter([1.2])
        return lambda: time.sleep(next(first, 0.01)) or 1.0

    rows = measure(prepare, 2)
    assert all(row["n_calls"] > 1 for row in rows)  # a call of 1.2 s would not be done again
    assert len(rows) == 2


def test_the_first_result_is_reported_and_the_process_is_another():
    results = iter(range(10, 100_000_000))
    rows = measure(lambda: lambda: float(next(results)), 2)
    assert {row["result"] for row in rows} == {10.0} and next(results) == 10
    (row,) = measure(lambda: lambda: float(os.getpid()), 1)
    assert row["result"] != os.getpid()


def test_long_work_is_not_warmed_up_and_not_repeated_for_ever(monkeypatch):
    monkeypatch.setattr(module, "WARM_UP_SECONDS", 0)
    monkeypatch.setattr(module, "ENOUGH_SECONDS", 0)
    assert [row["n_calls"] for row in measure(lambda: lambda: 1.0, 5)] == [1]


def test_work_that_fails_is_an_error():
    with pytest.raises(RuntimeError, match="measuring process ended with status 1"):
        measure(lambda: lambda: 1 / 0, 1)


def test_work_of_several_processes_ends_with_its_result():
    rows = []
    # Processes that are left wait minutes for more work, and the measuring process for them.
    measuring = Thread(target=lambda: rows.extend(measure(lambda: _sum_in_two_processes, 1)), daemon=True)
    measuring.start()
    measuring.join(120)
    assert not measuring.is_alive()
    assert [row["result"] for row in rows] == [6.0]


def _sum_in_two_processes() -> float:
    with parallel_config("loky", n_jobs=2):
        return float(sum(Parallel()(delayed(abs)(-i) for i in range(4))))
