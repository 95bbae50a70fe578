"""Settings for all tests."""

import os

import hypothesis

# Models in tests are tiny: more threads than one only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Machines that run tests are shared: no example fails for its time, and every run draws the same examples.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")
