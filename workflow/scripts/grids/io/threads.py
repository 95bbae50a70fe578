"""How many threads a job computes with: a sum in another order is another number."""

import os
import sys

# Of preprocessing and training, however many cores a run may use.
THREADS = 2


def compute_with(n_threads: int) -> None:
    """Linear algebra with so many threads from here on, in NumPy, torch and what is loaded later.

    Snakemake sets as many as it reserves: fewer than the rule's where `--cores` is smaller.
    """
    from threadpoolctl import threadpool_limits

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(n_threads)
    threadpool_limits(n_threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(n_threads)
