"""How many cells each step looks at, at most: of more, so many stand for all. None of these is a key of the config.

| cap | of | where more are |
|---|---|---|
| `LINKED_CELLS` | cells of a type, or of all types, that links are tested in | evenly spaced |
| `TRAINED_CELLS` | training cells of the window surrogate | evenly spaced |
| `JUDGED_CELLS` | cells of a split that surrogates and baselines are compared on | evenly spaced |
| `EXPLAINED_CELLS` | cells of a type and split that sets are found, measured and judged in | evenly spaced |
| `REDUNDANCY_CELLS` | test cells in which members are taken apart, cells of a resampled search | drawn at random |
| `NULL_CELLS` | test cells in which sets are held against matched random ones | drawn at random |
| `SCREENED_CELLS` | cells in which a search screens candidates first | drawn at random |
| `LATENT_CELLS` | cells of each modality in the layout of latent states | drawn at random |
"""

LINKED_CELLS = 20_000
TRAINED_CELLS = 50_000
# The standard error of a mean over these is 0.7 % of the cells' standard deviation.
EXPLAINED_CELLS = 20_000
JUDGED_CELLS = 10_000
LATENT_CELLS = 4_000
REDUNDANCY_CELLS = 1_000
NULL_CELLS = 500
SCREENED_CELLS = 128
