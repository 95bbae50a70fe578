"""Peaks that the data cannot tell apart, reported together: one of each set is a member, as far as the posterior knows.

After the credible sets of Wang, Sarkar, Carbonetto & Stephens (JRSS B 2020), but from models of whole sets: a credible
set holds a member in models of at least 95 % of the posterior, given that the gene has any.
"""

import torch
from torch import Tensor

COVERAGE = 0.95


def credible_sets(members: Tensor, posterior: Tensor, n_candidates: Tensor) -> Tensor:
    """Number of the credible set of each peak: 1, 2, ...; 0 in none.

    A set begins with the peak that is most often a member and takes in the peak by which most models without a member
    in the set get one, until :data:`COVERAGE` of the posterior of models with members has one. Further sets are found
    in the same way among the peaks left. A set of several peaks has fewer than half of the candidates: larger ones tell
    nothing.

    Parameters
    ----------
    members : Tensor of bool, shape (n_genes, n_models, n_peaks)
    posterior : Tensor, shape (n_genes, n_models)
        Chance of each model.
    n_candidates : Tensor of int, shape (n_genes,)
        Peaks that may be members.

    Returns
    -------
    LongTensor, shape (n_genes, n_peaks)
    """
    number = torch.zeros(members.shape[0], members.shape[2], dtype=torch.long)
    most = torch.clamp((n_candidates - 1) // 2, min=1).tolist()
    for of_gene, is_member, chance, n in zip(number, members, posterior.double(), most, strict=True):
        aim = COVERAGE * chance[is_member.any(1)].sum()
        while found := _next_set(is_member & (of_gene == 0), chance, aim, n):
            of_gene[found] = of_gene.max() + 1
    return number


def _next_set(is_member: Tensor, chance: Tensor, aim: Tensor, most: int) -> list[int]:
    """Peaks of a gene's next credible set, at most so many; none where that is not enough to reach the aim."""
    without, found = chance.clone(), []
    while len(found) < most:
        gain = without @ is_member.double()
        found.append(int(gain.argmax()))
        if gain[found[-1]] <= 0:
            return []
        without[is_member[:, found[-1]]] = 0
        if chance.sum() - without.sum() >= aim:
            return found
    return []
