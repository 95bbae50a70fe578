"""Let one method (or several quick ones) find its pixels, and measure them on test digits."""

import pandas as pd

from benchmarks.mnist import digits
from benchmarks.mnist.benchmark import run_method
from grids.io import tables
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    data, classifier = digits.read(snakemake.input.digits), storage.load(snakemake.input.classifier)
    set_size, seed = snakemake.params.set_size, snakemake.params.seed
    results = []
    for method, settings in snakemake.params.settings.items():
        result = run_method(classifier, data, method, set_size, settings, seed)
        log.info("%s: change of log odds %.4f", method, result.effects["log_change"].iloc[0])
        results.append(result)
    for name in ("effects", "cells", "sets"):
        tables.write(pd.concat([getattr(result, name) for result in results]), snakemake.output[name])
