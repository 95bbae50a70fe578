"""Settings for all tests."""

import os
from pathlib import Path

import hypothesis
import pytest

# Models in tests are tiny: more threads than one only wait for each other, and threads that spin hold up other tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Machines that run tests are shared: no example fails for its time, and every run draws the same examples.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")

# What takes minutes starts first, the longest at the head, so that workers end together.
FIRST = [
    "slurm/test_profile.py", "workflow/test_real_data.py", "workflow/test_demo.py",
    "benchmarks/explainers/test_explainers_workflow.py", "workflow/test_window_demo.py", "workflow/test_levels.py",
    "workflow/test_bad_input.py", "workflow/test_inputs.py", "benchmarks/mnist/test_mnist_workflow.py",
    "workflow/test_nothing_passes.py", "workflow/test_module.py", "workflow/test_report_browser.py",
    "workflow/test_contacts_demo.py", "benchmarks/scale/test_scale_workflow.py", "unit/io/test_fuzz.py",
    "unit/surrogates/test_window_training.py", "benchmarks/explainers/test_explainers_sage.py",
    "benchmarks/truth/test_truth_grids.py", "benchmarks/evidence/test_evidence_workflow.py",
]  # fmt: skip


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run what is marked slow")


def pytest_collection_modifyitems(config, items):
    here = Path(__file__).parent
    place = {name: i for i, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.relative_to(here).as_posix(), len(FIRST)))
    if not config.getoption("slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow: runs with --slow"))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What a worker has counted."""
    if states := getattr(node, "workeroutput", {}).get("slurm_jobs"):
        node.config.slurm_jobs = states


def pytest_terminal_summary(terminalreporter, config):
    if states := getattr(config, "slurm_jobs", None):
        listed = ", ".join(f"{state} {n}" for state, n in sorted(states.items()))
        terminalreporter.write_line(f"SLURM jobs run: {sum(states.values())} ({listed})")
