"""Settings for all tests."""

import hypothesis

# Machines that run tests are shared: no example fails for its time, and every run draws the same examples.
hypothesis.settings.register_profile("project", deadline=None, derandomize=True)
hypothesis.settings.load_profile("project")
