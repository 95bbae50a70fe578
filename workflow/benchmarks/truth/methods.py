"""The methods of the truth benchmark, by the name under which the config asks for them.

A method takes a :class:`~benchmarks.truth.dataset.Dataset` and a seed and returns a
:class:`~benchmarks.truth.result.MethodResult` for each name it goes by in the tables.
"""

from benchmarks.truth import grids_methods, oracle, rivals

METHODS = {
    "rivals": rivals.run,
    "oracle": oracle.run,
    "window": grids_methods.run_window,
    "told": grids_methods.run_told,
    "bound": grids_methods.run_bound,
    "cross_modality": grids_methods.run_cross_modality,
}
