"""Every job's own random generator, derived from the config's one seed and the job's name."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def derive_seed(seed: int, *names: object) -> int:
    """A 32-bit seed that depends on the config's seed and on what the job is (rule, cell type, gene)."""
    text = "\x1f".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


def generator(seed: int, *names: object) -> "np.random.Generator":
    """A numpy generator seeded with :func:`derive_seed`."""
    import numpy as np  # here: a workflow that only derives seeds has no need of numpy

    return np.random.default_rng(derive_seed(seed, *names))
