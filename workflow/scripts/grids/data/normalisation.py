"""What a cell's depth does to its counts: log-normalised expression and the genes that vary most, and the chance that
an open peak is seen.
"""

import numpy as np
from scipy import sparse
from scipy.special import lambertw

from grids.io import backed
from grids.io.cells import Modality
from grids.io.errors import InputError
from grids.io.logging import log

# In fragment counts of one Poisson rate the ratio n2 / n1 is 1.5 times n3 / n2. Counts of cut sites, two to a
# fragment, have far more twos than that.
CUT_SITE_RATIO = 3.0
# Bounds of the mean chance over cells, for data that hardly tell.
LOWEST, HIGHEST = 0.02, 0.95
# Share of peaks, the most often seen ones, that are taken to be always open when counts say nothing.
ALWAYS_OPEN_SHARE = 0.01


def size_factors(depth: np.ndarray, target_sum: float) -> np.ndarray:
    """What counts are divided by to be counts per `target_sum`; the median for cells without counts.

    Parameters
    ----------
    depth : ndarray, shape (n_cells,)
        Counts of each cell over all genes.
    """
    positive = depth[depth > 0]
    return np.where(depth > 0, depth, np.median(positive) if len(positive) else target_sum) / target_sum


def log_normalise(values: backed.Rows, size_factor: np.ndarray | None) -> backed.Rows:
    """Natural log of 1 + counts over the cell's size factor.

    Parameters
    ----------
    values : csr_matrix or StoredRows, shape (n_cells, n_genes)
        Counts, or values already normalised; left as it is.
    size_factor : ndarray, shape (n_cells,), or None
        None: values are taken as they are.

    Returns
    -------
    csr_matrix or StoredRows, shape (n_cells, n_genes), float32
    """
    scaled = values if size_factor is None else backed.scale(values, 1 / size_factor)
    return backed.then(scaled, lambda rows: backed.with_data(rows, np.log1p(rows.data).astype(np.float32)))


def counts_and_exposure(rna: Modality) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Counts behind log-normalised expression, and each cell's normalising factor.

    Parameters
    ----------
    rna : Modality
        Cells in memory: `X`, log1p of normalised counts, shape (n_cells, n_genes), and `obs["size_factor"]`.

    Returns
    -------
    counts : csr_matrix, shape (n_cells, n_genes), float32
    exposure : ndarray, shape (n_cells,)
        ``counts = exposure * normalised counts``.

    Raises
    ------
    InputError
        The values came normalised and their counts are not known.
    """
    if "size_factor" not in rna.obs:
        raise InputError(
            "the window surrogate needs RNA counts, and these are not known: input.rna_values is normalized; give "
            "counts (input.counts_layer), or each cell's total counts (input.depth_key), or set surrogate.model: "
            "cross_modality"
        )
    exposure = rna.obs["size_factor"].to_numpy(np.float64)
    counts = rna.X.astype(np.float64)
    counts.data = np.rint(np.expm1(counts.data) * np.repeat(exposure, np.diff(counts.indptr)))
    return counts.astype(np.float32), exposure


def variable_genes(logged: sparse.csr_matrix, n_genes: int) -> np.ndarray:
    """Which genes vary most, array of bool, shape (n_genes,): by dispersion within bins of mean expression.

    The `seurat` flavour: it works on logged values, so that data that come normalised, without counts,
    are treated like counts, and it needs no curve fit, which fails on a handful of genes.

    Parameters
    ----------
    logged : csr_matrix, shape (n_cells, n_genes)
        Log-normalised expression (natural log).
    n_genes : int
        How many genes to choose; all of them when there are no more.
    """
    if logged.shape[1] <= n_genes:
        return np.ones(logged.shape[1], bool)
    import anndata
    import scanpy

    data = anndata.AnnData(logged)
    data.uns["log1p"] = {"base": None}
    table = scanpy.pp.highly_variable_genes(data, n_top_genes=n_genes, flavor="seurat", inplace=False)
    return table["highly_variable"].to_numpy(bool)


def detection_chance(counts: backed.Rows, cell_type: np.ndarray) -> np.ndarray:
    """Chance of each cell that an open peak is seen in it: most open peaks of a single cell leave no fragment.

    An open peak yields a Poisson number of fragments, so a peak that is seen (at least one fragment) would often have
    been seen twice if detection were good. The mean number of fragments in seen peaks thus tells the rate at which
    open peaks are missed (zero-truncated Poisson; compare Miao & Kim, Nature Methods 2024, who model the capture of
    open peaks the same way).

    The mean over a type's cells is that of the chances which each cell's counts tell on their own: its number of open
    peaks varies, and peaks seen by cells that have many of them open must not pass for good detection. A cell's
    chance is then taken to be proportional to the number of peaks it shows, which is less noisy. Where no peak is
    counted twice (binary data), the most often seen peaks of the type are taken to be open in all its cells instead.

    Parameters
    ----------
    counts : csr_matrix or StoredRows, shape (n_cells, n_peaks)
        Fragments or cut sites per peak.
    cell_type : ndarray, shape (n_cells,)

    Returns
    -------
    ndarray, shape (n_cells,)
        In (0, 1).
    """
    chance, n_seen, n_fragments = (np.zeros(counts.shape[0]) for _ in range(3))
    n_from_cut_sites = np.zeros(counts.shape[0])
    types, codes = np.unique(cell_type, return_inverse=True)
    spectra = np.zeros((len(types), 3), int)  # how many entries are one, two and three
    for rows, block in backed.blocks(counts):
        n_seen[rows], n_fragments[rows] = np.diff(block.indptr), _row_sums(block, block.data)
        n_from_cut_sites[rows] = _row_sums(block, np.ceil(block.data / 2))
        for code in np.unique(codes[rows]):
            data = block[np.flatnonzero(codes[rows] == code)].data
            spectra[code] += [(data == k).sum() for k in (1, 2, 3)]
    for code, spectrum in enumerate(spectra):
        of_type = codes == code
        one, two, three = map(int, spectrum)
        of_cut_sites = two * two > CUT_SITE_RATIO * max(one, 1) * max(three, 1) and two > 0.3 * max(one, 1)
        total = n_from_cut_sites if of_cut_sites else n_fragments
        mean_chance = _mean_chance_from_counts(n_seen[of_type], total[of_type])
        if mean_chance is None:
            share = np.sort(
                backed.count_columns(backed.select(counts, np.flatnonzero(of_type))) / of_type.sum()
            )
            mean_chance = share[-max(round(ALWAYS_OPEN_SHARE * len(share)), 1) :].mean()
            log.info("no peak is counted twice: detection is judged by the most often seen peaks")
        mean_chance = float(np.clip(mean_chance, LOWEST, HIGHEST))
        shown = np.maximum(n_seen[of_type], 1)
        chance[of_type] = np.clip(shown * (mean_chance / shown.mean()), 1e-3, 0.98)
    return chance


def _row_sums(block: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    return np.asarray(backed.with_data(block, values).sum(1)).ravel()


def _mean_chance_from_counts(n_seen: np.ndarray, n_fragments: np.ndarray) -> float | None:
    """Mean over cells of the chance at which seen peaks have the cell's mean count; None for binary data.

    ``rate / (1 - exp(-rate))`` is the mean count of seen peaks, so ``rate`` is ``mean + W(-mean * exp(-mean))``
    with Lambert's W.
    """
    twice = n_fragments > n_seen
    if not twice.any():
        return None
    mean_count = n_fragments[twice] / n_seen[twice]
    rate = mean_count + lambertw(-mean_count * np.exp(-mean_count)).real
    return float(-np.expm1(-rate).sum() / (n_seen > 0).sum())
