"""Which methods of a benchmark share a job, as starting one costs more than a quick method does, and their settings."""

from collections.abc import Iterable, Sequence

# Those that learn or sample; each gets a job of its own.
SLOW = ("grids", "greedy", "subset_sampler", "lime", "fimap", "sage", "cxplain_4", "cxplain_16", "cxplain_32",
        "cxplain_64")  # fmt: skip
QUICK_JOB = "quick"


def jobs(methods: Sequence[str]) -> dict[str, list[str]]:
    """The methods of every job, by the job's name: that of its method, or :data:`QUICK_JOB`."""
    alone = {method: [method] for method in methods if method in SLOW}
    together = [method for method in methods if method not in SLOW]
    return alone | ({QUICK_JOB: together} if together else {})


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
