"""GRIDS itself in the truth benchmark: both surrogates, and rivals that read the same surrogate without a search."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from benchmarks.truth.dataset import CELL_TYPE, Candidates, Dataset
from benchmarks.truth.result import LOGICS, SET_SIZES, UNDECIDED, MethodResult
from benchmarks.truth.surrogate_rivals import gradient_saliency, single_peak_scan
from grids.analysis.links.tables import LinkTest, population
from grids.analysis.set_changes import bootstrap_means, changes_by_set
from grids.analysis.statistics import bootstrap_weights
from grids.io.seeds import generator
from grids.search.search import Search
from grids.search.task_cells import TaskCells
from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import specialise, train_joint
from grids.surrogates.window.training import WindowSettings, train_window

CLOSED = 0
N_BOOTSTRAP = 200
# What the planted logics are in terms of the set models; effects that multiply have a bend of log(ratio) / size.
BEND_OF_LOGIC = {"redundant": -6.0, "multiplicative": 0.7, "synergistic": 6.0}
# A gene is called controlled by its window when the gate's p-value, of this gene alone, is at most this.
CALL_LEVEL = 0.05
# ... and no member is at most this likely; its logic is called where the form is at least so likely among those left.
MOST_NONE, DECIDED_FROM = 0.5, 0.8


def run_window(dataset: Dataset, seed: int) -> list[MethodResult]:
    """The window surrogate.

    - `grids_window` ranks candidates by the posterior chance that they are members, which it states of the genes that
      it calls, as it does credible sets. Its joint effect is that of closing the whole window: all members, whichever
      they are.
    - `grids_window_search` names the sets that the search finds on the surrogate, as a run does.
    - `single_peak_scan` and `gradient_saliency` read the same surrogate.
    """
    candidates = dataset.candidates
    surrogate, _ = train_window(dataset.multiome, dataset.windows, CELL_TYPE, WindowSettings(), seed)
    training, cells = (_cells(surrogate, dataset, split, seed) for split in ("train", "test"))
    windows = {gene: list(peaks) for gene, peaks in zip(candidates.genes, candidates.peaks, strict=True)}
    p_values = _p_values(dataset, seed).reindex(candidates.genes).fillna(1.0)
    forms = surrogate.forms().reindex(candidates.genes, fill_value=0.0)
    called = ((p_values <= CALL_LEVEL) & (forms["none"] <= MOST_NONE)).to_numpy()
    calls = np.where(called, likeliest(forms[list(LOGICS[1:])]), "none")
    inclusion, credible = np.zeros(candidates.peaks.shape), np.zeros(candidates.peaks.shape, int)
    for row, gene in enumerate(candidates.genes):
        column = surrogate.genes.index(gene)
        names = [surrogate.peaks[peak] for peak in surrogate.window(gene).tolist()]
        of_peaks = pd.DataFrame(
            {"inclusion": surrogate.inclusion_of(column), "credible": surrogate.credible_set_of(column)},
            names,
        )
        of_peaks = of_peaks.reindex(candidates.peaks[row], fill_value=0)
        inclusion[row], credible[row] = of_peaks["inclusion"], of_peaks["credible"]
    said = {"called": called, "logic_call": calls, "p_value": p_values.to_numpy()}
    said |= _joint_effects(cells, windows, seed)
    stated, sets = np.where(called[:, None], inclusion, np.nan), np.where(called[:, None], credible, 0)
    return [
        MethodResult("grids_window", inclusion, genes=said, inclusion=stated, credible=sets),
        MethodResult("grids_window_search", inclusion, sets=_search_sets(training, candidates, seed)),
        MethodResult("single_peak_scan", single_peak_scan(cells, candidates)),
        MethodResult("gradient_saliency", gradient_saliency(cells, candidates)),
    ]


def likeliest(forms: pd.DataFrame) -> np.ndarray:
    """The likeliest form of each gene where it is likely enough among those given, else undecided.

    Parameters
    ----------
    forms : DataFrame
        Posterior chances, a row per gene and a column per form; none where there is nothing to tell apart.
    """
    total = forms.sum(axis=1)
    decided = forms.max(axis=1) >= DECIDED_FROM * total.where(total > 0, np.inf)
    return forms.idxmax(axis=1).where(decided, UNDECIDED).to_numpy(object)


def run_told(dataset: Dataset, seed: int) -> list[MethodResult]:
    """`grids_window_told`: the window surrogate told the members, as the oracles are; it says logic and effect."""
    genes = _told(dataset, _planted_members(dataset), seed)
    return [MethodResult("grids_window_told", _is_member(dataset), genes=genes)]


def run_bound(dataset: Dataset, seed: int) -> list[MethodResult]:
    """`grids_window_told_logic`: the window surrogate told members and logic, to bound what it says of effects."""
    planted = _planted_members(dataset)
    genes = _told(dataset, planted.assign(bend=planted["logic"].map(BEND_OF_LOGIC)), seed)
    return [MethodResult("grids_window_told_logic", _is_member(dataset), genes=genes)]


def run_cross_modality(dataset: Dataset, seed: int) -> list[MethodResult]:
    """The paper's surrogate: sets are searched for in the gene's window; the joint effect is that of the members."""
    joint, _ = train_joint(dataset.multiome, Settings(), seed)
    surrogate, _ = specialise(joint, dataset.multiome, CELL_TYPE, Settings(), seed)
    training, cells = (_cells(surrogate, dataset, split, seed) for split in ("train", "test"))
    return [
        MethodResult(
            "grids_cross_modality",
            single_peak_scan(cells, dataset.candidates),
            sets=_search_sets(training, dataset.candidates, seed),
            genes=_joint_effects(cells, _members(dataset), seed),
        )
    ]


def _cells(surrogate, dataset: Dataset, split: str, seed: int) -> TaskCells:
    return TaskCells(surrogate, dataset.multiome.atac.cells(split=split).X, CLOSED, seed=seed, split=split)


def _p_values(dataset: Dataset, seed: int) -> pd.Series:
    """p-values of the genes' windows by gene, as of a run's gate."""
    windows = dataset.windows.assign(is_promoter=False)
    genes = (
        windows.groupby("gene", sort=False).agg(start=("start", "min"), end=("start", "min")).reset_index()
    )
    test = LinkTest(dataset.multiome, windows, genes)
    cells = population(dataset.multiome, CELL_TYPE, seed)
    table = test.window_table(test.test(cells), cells)
    return table.set_index("gene")["p_value"]


def _members(dataset: Dataset) -> dict[str, list[str]]:
    """The true members of every gene."""
    by_gene = _planted_members(dataset).groupby("gene", sort=False)["peak"].apply(list).to_dict()
    return {gene: by_gene.get(gene, []) for gene in dataset.candidates.genes}


def _is_member(dataset: Dataset) -> np.ndarray:
    """1 for true members, else 0, shape (n_genes, n_candidates)."""
    candidates, member = (
        dataset.candidates,
        dataset.truth.set_index(["gene", "peak"])["is_member"].astype(float),
    )
    pairs = zip(candidates.genes, candidates.peaks, strict=True)
    return np.array([member[gene].loc[peaks] for gene, peaks in pairs])


def _planted_members(dataset: Dataset) -> pd.DataFrame:
    return dataset.truth[dataset.truth["is_member"]]


def _told(dataset: Dataset, only: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
    """Logic and joint effect of the true members: no other peak may be one."""
    members = _members(dataset)
    settings = WindowSettings(member_penalties=(0.0,))
    surrogate, _ = train_window(dataset.multiome, dataset.windows, CELL_TYPE, settings, seed, only)
    forms = surrogate.forms()
    calls = np.full(len(members), "none", dtype=object)
    for row, (gene, peaks) in enumerate(members.items()):
        if peaks:
            possible = LOGICS[1:2] if len(peaks) == 1 else LOGICS[2:]
            calls[row] = likeliest(forms.loc[[gene], list(possible)])[0]
    return {"logic_call": calls, **_joint_effects(_cells(surrogate, dataset, "test", seed), members, seed)}


def _joint_effects(cells: TaskCells, sets: Mapping[str, list[str]], seed: int) -> dict[str, np.ndarray]:
    """Change of mean log-expression when each gene's set is closed, with its 95 % interval; 0 for no set."""
    effects = np.zeros((len(sets), 3))
    for row, (gene, peaks) in enumerate(sets.items()):
        if peaks:
            changes = changes_by_set(cells, gene, peaks)
            weights = bootstrap_weights(changes.shape[1], N_BOOTSTRAP, generator(seed, "truth", gene))
            low, high = np.quantile(bootstrap_means(changes, weights)[:, 0], [0.025, 0.975])
            effects[row] = changes[0, :, 0].mean(), low, high
    names = ("joint_log_effect", "joint_log_effect_low", "joint_log_effect_high")
    return dict(zip(names, effects.T, strict=True))


def _search_sets(training: TaskCells, candidates: Candidates, seed: int) -> dict[int, np.ndarray]:
    """The set of each size that the search finds in either sign, among the gene's candidates."""
    sets = {size: np.zeros(candidates.peaks.shape, dtype=bool) for size in SET_SIZES}
    for row, gene in enumerate(candidates.genes):
        cells, column, names = training.of(gene)
        allowed = training.members(gene, candidates.peaks[row], "truth")
        rng = generator(seed, "truth search", gene)
        searches = [Search(cells.seeking(sign), column, allowed, rng=rng) for sign in (-1, 1)]
        for size in SET_SIZES:
            results = [search.improve(search.greedy(size), rng) for search in searches]
            best = max(results, key=lambda result: abs(result.objective_after - result.objective_before))
            sets[size][row] = np.isin(
                candidates.peaks[row], [names[member] for member in best.members.tolist()]
            )
    return sets
