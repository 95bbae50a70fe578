"""What a simulation plants: where genes and peaks lie, and by which logic a planted gene follows its member peaks."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from grids.data.coordinates import peak_names
from grids.io.errors import InputError

PEAK_BIN_BP = 1_000
GENE_SPACING_BP = 500_000  # one gene per stretch of this length; its candidates lie in it
N_CHROMOSOMES = 6


def place_genes(
    rng: np.random.Generator, n_genes: int, planted: pd.Series
) -> tuple[pd.DataFrame, dict[str, int]]:
    """One gene per stretch of :data:`GENE_SPACING_BP`; planted genes evenly spread over the stretches.

    Returns
    -------
    genes : DataFrame
        `chromosome start end gene score strand tss chromosome_code`, sorted by position.
    sizes : dict of str to int
        Length of each chromosome in bp.
    """
    n_chromosomes = min(N_CHROMOSOMES, n_genes)
    weight = 1 / (1 + 0.2 * np.arange(n_chromosomes))
    bounds = np.round(np.cumsum(weight) / weight.sum() * (n_genes - n_chromosomes)).astype(int)
    n_slots = np.diff(bounds, prepend=0) + 1
    chromosome = np.repeat(np.arange(n_chromosomes), n_slots)
    slot = np.concatenate([np.arange(n) for n in n_slots])
    width = max(3, len(str(n_genes)))
    names = np.array([f"GENE{i + 1:0{width}d}" for i in range(n_genes)], dtype=object)
    if len(planted):
        slots = np.linspace(0, n_genes - 1, len(planted)).round().astype(int)
        names[slots] = rng.permutation(planted.to_numpy())
    tss = slot * GENE_SPACING_BP + np.round(GENE_SPACING_BP * rng.uniform(0.45, 0.55, n_genes)).astype(int)
    forward = rng.random(n_genes) < 0.5
    length = np.exp(rng.normal(np.log(20_000), 0.8, n_genes))
    length = np.clip(length, 1_000, 0.4 * GENE_SPACING_BP).astype(int)
    genes = pd.DataFrame(
        {
            "chromosome": [f"chr{c + 1}" for c in chromosome],
            "start": np.where(forward, tss, tss + 1 - length),
            "end": np.where(forward, tss + length, tss + 1),
            "gene": names,
            "score": 0,
            "strand": np.where(forward, "+", "-"),
            "tss": tss,
            "chromosome_code": chromosome,
        }
    )
    return genes, {f"chr{c + 1}": int(n_slots[c] * GENE_SPACING_BP) for c in range(n_chromosomes)}


def place_peaks(
    rng: np.random.Generator,
    genes: pd.DataFrame,
    sizes: Mapping[str, int],
    planted: pd.Series,
    n_peaks: int,
    n_candidates: int,
) -> pd.DataFrame:
    """Promoters, candidates of planted genes, clusters around TSSs and intergenic peaks; none overlap.

    Parameters
    ----------
    genes, sizes
        As from :func:`place_genes`.
    planted : Series of str
        Names of the planted genes.
    n_peaks, n_candidates : int
        Of all, and of each planted gene.

    Returns
    -------
    DataFrame
        Indexed by peak name, sorted by position, with `chromosome start end kind owner`: kind is promoter, candidate,
        distal or intergenic; owner numbers the planted gene of a candidate, else -1.
    """
    tss = genes["tss"].to_numpy()
    chromosome = genes["chromosome_code"].to_numpy()
    n_bins = np.array(list(sizes.values())) // PEAK_BIN_BP
    first_bin = np.concatenate([[0], np.cumsum(n_bins)])
    taken = np.zeros(first_bin[-1], dtype=bool)
    placed = []

    def near(gene_rows: np.ndarray, reach: float) -> np.ndarray:
        """Genome-wide bins at log-normal distances on either side of genes' TSSs, at most `reach` away."""
        distance = np.exp(rng.normal(np.log(40_000), 1.0, len(gene_rows)))
        distance = np.where(distance < reach, distance, rng.uniform(2_000, reach, len(gene_rows)))
        position = tss[gene_rows] + np.round(distance * rng.choice([-1, 1], len(gene_rows))).astype(int)
        c = chromosome[gene_rows]
        return first_bin[c] + np.clip(position // PEAK_BIN_BP, 0, n_bins[c] - 1)

    def place(kind: str, owners: np.ndarray, propose) -> None:
        """Give each owner a free bin, proposing again until all have one."""
        while len(owners):
            bins = propose(owners)
            _, first = np.unique(bins, return_index=True)
            fits = np.zeros(len(bins), dtype=bool)
            fits[first] = ~taken[bins[first]]
            taken[bins[fits]] = True
            placed.append(pd.DataFrame({"bin": bins[fits], "owner": owners[fits], "kind": kind}))
            owners = owners[~fits]

    row_of = pd.Series(np.arange(len(genes)), index=genes["gene"])
    planted_rows = row_of.loc[planted].to_numpy() if len(planted) else np.empty(0, dtype=int)
    at_tss = first_bin[chromosome] + tss // PEAK_BIN_BP
    place("promoter", np.arange(len(genes)), lambda rows: at_tss[rows])
    owners = np.repeat(np.arange(len(planted_rows)), n_candidates)
    place("candidate", owners, lambda owners: near(planted_rows[owners], 0.4 * GENE_SPACING_BP))
    n_rest = n_peaks - len(genes) - len(planted_rows) * n_candidates
    ordinary = np.setdiff1d(np.arange(len(genes)), planted_rows)
    n_distal = round(0.6 * n_rest) if len(ordinary) else 0
    owners = rng.choice(ordinary, n_distal) if n_distal else np.empty(0, dtype=int)
    place("distal", owners, lambda rows: near(rows, 0.45 * GENE_SPACING_BP))
    owners = np.full(n_rest - n_distal, -1)
    place("intergenic", owners, lambda rows: rng.integers(0, first_bin[-1], len(rows)))
    peaks = pd.concat(placed, ignore_index=True).sort_values("bin", ignore_index=True)
    peaks.loc[peaks["kind"] != "candidate", "owner"] = -1
    return _within_bins(rng, peaks, list(sizes), first_bin)


def _within_bins(rng, peaks: pd.DataFrame, chromosomes: list[str], first_bin: np.ndarray) -> pd.DataFrame:
    """The peaks with a place of random width in each one's bin, and names."""
    code = np.searchsorted(first_bin, peaks["bin"], side="right") - 1
    width = rng.integers(300, PEAK_BIN_BP - 50, len(peaks))
    start = (peaks["bin"] - first_bin[code]).to_numpy() * PEAK_BIN_BP + rng.integers(0, PEAK_BIN_BP - width)
    peaks["chromosome"], peaks["start"], peaks["end"] = np.array(chromosomes)[code], start, start + width
    return peaks.set_index(peak_names(peaks).rename(None))


MEMBERS_OF_LOGIC = {"single": 1, "multiplicative": 3, "redundant": 3, "synergistic": 2, "none": 0}


STRENGTHS = ("equal", "unequal")


def member_strengths(n_members: int, strength: str) -> np.ndarray:
    """How strong each member of a gene is relative to the strongest, shape (n_members,), falling.

    Of equal members all are 1; of unequal ones each is half as strong as the one before, so that the first does
    most: 4/7, 2/7 and 1/7 of what three do together where effects multiply.
    """
    return 0.5 ** np.arange(n_members) if strength == "unequal" else np.ones(n_members)


def log_activity(
    is_open: np.ndarray, logic: str, log_effect: float, strengths: np.ndarray | None = None
) -> np.ndarray:
    """Log-expression of a gene relative to all its members open.

    Whatever the logic and the strengths, it is 0 when all members are open and `log_effect` when all are closed.

    Parameters
    ----------
    is_open : ndarray of bool, shape (n_cells, n_members)
    logic : {"single", "multiplicative", "redundant", "synergistic", "none"}
        single, multiplicative: each closed member takes its share of `log_effect`, equal or by strength (effects
        multiply on the expression scale). redundant: `log_effect` once no member is open. synergistic:
        `log_effect` unless every member is open. none: 0.

        With unequal strengths s, redundant is a noisy or: an open member saves its share s of what the other open
        ones leave of `log_effect`, so that the strongest suffices alone and others in part; ``log_effect * product of
        (1 - s) over open members``. Synergistic is a noisy and: a closed member takes its share s of what the other
        closed ones leave, so that the gene needs the strongest, and others in part; ``log_effect * (1 - product of
        (1 - s) over closed members)``. With all strengths 1 these are the plain or and and.
    log_effect : float
        Natural log of the expression left when every member is closed; negative for members that raise
        expression, positive for silencers, whose closing raises it.
    strengths : ndarray, shape (n_members,), optional
        Those of the members relative to the strongest, whose own is 1; all are 1 by default.

    Returns
    -------
    ndarray, shape (n_cells,)

    Raises
    ------
    InputError
        An unknown logic.
    """
    is_open = np.asarray(is_open, dtype=bool)
    strengths = np.ones(is_open.shape[1]) if strengths is None else strengths
    if logic == "none":
        return np.zeros(len(is_open))
    if logic in ("single", "multiplicative"):
        return log_effect * (~is_open @ strengths / strengths.sum())
    if logic == "redundant":
        return log_effect * np.where(is_open, 1 - strengths, 1).prod(axis=1)
    if logic == "synergistic":
        return log_effect * (1 - np.where(is_open, 1, 1 - strengths).prod(axis=1))
    raise InputError(f"logic '{logic}' is unknown; expected one of: {', '.join(MEMBERS_OF_LOGIC)}")


def closing_effects(
    is_open: np.ndarray, logic: str, log_effect: float, strengths: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Mean change of true log-expression when members are closed, each alone and all together.

    Parameters are those of :func:`log_activity`.

    Returns
    -------
    alone : ndarray, shape (n_members,)
        Change of log-expression (natural log) when only this member is closed.
    joint : float
        The same when all members are closed.
    """
    is_open = np.asarray(is_open, dtype=bool)
    before = log_activity(is_open, logic, log_effect, strengths)
    alone = np.zeros(is_open.shape[1])
    for member, others in enumerate(~np.eye(len(alone), dtype=bool)):
        alone[member] = (log_activity(is_open & others, logic, log_effect, strengths) - before).mean()
    closed = log_activity(np.zeros_like(is_open), logic, log_effect, strengths)
    return alone, float((closed - before).mean())


def genes_of_logics(n: int | Mapping[str, int], logics: Iterable[str] = MEMBERS_OF_LOGIC) -> dict[str, int]:
    """Planted genes of each logic, from one number for all of them or from a mapping."""
    return {logic: n if isinstance(n, int) else n[logic] for logic in logics}
