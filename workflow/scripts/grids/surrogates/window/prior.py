"""What is thought of a gene's models before its counts are seen: how many members, and how much they do.

Both are learned from the genes of the fit (empirical Bayes): how many peaks control a gene, and by how much, differs
between data sets by more than any fixed prior allows, and a single gene with weak effects tells neither. The chance
that there is none is not learned.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

# Standard deviations of the ratio of expression less one, all members open against none, to choose among.
SCALES = (0.15, 0.4, 1.0, 3.0, 8.0)
# Log likelihood ratios are divided by this: models of one gene differ by less than they say, since which peaks are
# open is itself an estimate, and not independent between the peaks of a window.
TEMPERATURE = 1.15
# A gene has no members as likely as some: that is for the gate to say, and genes without members whose state is not
# told in full would have it learned wrong.
CHANCE_OF_NONE = 0.5
# Genes' worth of belief in the prior that learning starts from.
GENES_OF_START = 10.0
N_ROUNDS = 30


@dataclass(frozen=True)
class Prior:
    """Chances before counts are seen.

    Attributes
    ----------
    size : Tensor, shape (MAX_SIZE + 1,)
        Of each number of members, from none; all sets of a size are alike.
    scale : Tensor, shape (n_scales,)
        Of each of :data:`SCALES`, for all models with members.
    """

    size: Tensor
    scale: Tensor

    @classmethod
    def of_penalty(cls, penalty: float, max_size: int) -> "Prior":
        """The start: a size from one has chance ``exp(-penalty * size)`` up to a constant, all scales are as likely."""
        size = torch.softmax(-penalty * torch.arange(1, max_size + 1, dtype=torch.get_default_dtype()), 0)
        return cls(_with_none(size), torch.full((len(SCALES),), 1 / len(SCALES)))

    def log_gains(self, evidence: Tensor) -> Tensor:
        """Log marginal likelihood over that of no members, and the log chance of the scale, on a new last axis.

        A normal prior of the slope of counts on the rise, tempered by :data:`TEMPERATURE`.

        Parameters
        ----------
        evidence : Tensor, shape (..., 2)
            Score and information of the slope.
        """
        score, information = (evidence[..., None] / TEMPERATURE).unbind(-2)
        variance = torch.tensor(SCALES).to(evidence) ** 2
        shrunk = score**2 / (2 * (information + 1 / variance))
        return shrunk - 0.5 * torch.log1p(information * variance) + torch.log(self.scale).to(evidence)

    def log_gain(self, evidence: Tensor) -> Tensor:
        """Log marginal likelihood over that of no members, the mean over scales: shape (...)."""
        return self.log_gains(evidence).logsumexp(-1)


def learn_prior(start: Prior, size: Tensor, within: Tensor, evidence: Tensor) -> Prior:
    """The prior under which the genes' counts are most likely, by expectation and maximisation.

    Few genes leave it near the start, which counts as much as :data:`GENES_OF_START` of them.

    Parameters
    ----------
    start : Prior
    size : LongTensor, shape (n_genes, n_models)
    within : Tensor, shape (n_genes, n_models)
        Log chance of each model among those of its size.
    evidence : Tensor, shape (n_genes, n_models, 2)
    """
    prior = start
    is_size = torch.nn.functional.one_hot(size, len(start.size)).to(within)
    for _ in range(N_ROUNDS):
        joint = (within + torch.log(prior.size)[size])[..., None] + prior.log_gains(evidence)
        posterior = torch.softmax(joint.flatten(1), 1).view_as(joint)
        of_size = GENES_OF_START * start.size + (posterior.sum(2)[..., None] * is_size).sum((0, 1))
        of_size = of_size[1:] / of_size[1:].sum()
        of_scale = GENES_OF_START * start.scale + (posterior * (size > 0)[..., None]).sum((0, 1))
        prior = Prior(_with_none(of_size), of_scale / of_scale.sum())
    return prior


def _with_none(size: Tensor) -> Tensor:
    """Chances of all sizes by those of sizes from one, which sum to one."""
    return torch.cat([size.new_tensor([CHANCE_OF_NONE]), (1 - CHANCE_OF_NONE) * size])
