"""Score the pairs by what the run of GRIDS says of them."""

from benchmarks.evidence.grids_scores import score_inclusion, score_links, score_sets
from benchmarks.evidence.methods import SCORE_COLUMNS
from grids.io import tables
from grids.io.logging import job
from grids.surrogates import storage
from grids.surrogates.window.model import WindowSurrogate

with job(snakemake) as log:
    pairs, tasks = (tables.read(snakemake.input[name]) for name in ("pairs", "tasks"))
    asked = tasks[["cell_type", "gene"]].merge(pairs[["gene", "peak"]].drop_duplicates(), on="gene")
    parts = [score_sets(tables.read(snakemake.input.sets), asked)]
    for path in snakemake.input.surrogates:
        surrogate = storage.load(path)
        if isinstance(surrogate, WindowSurrogate):
            parts.append(score_inclusion(surrogate, asked))
        else:
            log.info("%s: a surrogate without a posterior, inclusion is left out", path)
    parts.append(score_links(tables.read(snakemake.input.links), asked))
    scores = tables.stack(parts, SCORE_COLUMNS)
    scores = scores[scores["method"].isin(snakemake.params.methods)]
    tables.write(scores, snakemake.output.scores)
    log.info("%d scores by %d methods", len(scores), scores["method"].nunique())
