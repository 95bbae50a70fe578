"""Which methods of a benchmark share a job: starting one costs more than a quick method does."""

from collections.abc import Sequence

# Those that learn or sample; each gets a job of its own.
SLOW = ("grids", "greedy", "subset_sampler", "lime", "fimap", "sage", "cxplain_4", "cxplain_16", "cxplain_32",
        "cxplain_64")  # fmt: skip
QUICK_JOB = "quick"


def jobs(methods: Sequence[str]) -> dict[str, list[str]]:
    """The methods of every job, by the job's name: that of its method, or :data:`QUICK_JOB`."""
    alone = {method: [method] for method in methods if method in SLOW}
    together = [method for method in methods if method not in SLOW]
    return alone | ({QUICK_JOB: together} if together else {})
