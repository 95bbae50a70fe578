"""A reparameterised subset sampler: which set to draw is learned by gradient descent through relaxed draws.

As in MetaVelo (Liu et al., KDD 2025), the subset is a random draw whose parameters are learned by the gradient of the
objective. Gumbel noise on one logit per candidate makes the largest `set_size` of them a draw without replacement (Xie
and Ermon, IJCAI 2019). Their relaxation takes `set_size` softmaxes over all candidates after each other; the one used
here, the projection of Amos, Koltun and Kolter (arXiv:1906.08707), needs one root of one number.
"""

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import logit
from torch import Tensor

from benchmarks.explainers.problem import Problem

# Of many candidates each has a tiny gradient, which Adam's usual 1e-8 would drown.
ADAM_EPSILON = 1e-15


def subset_sampler(
    problem: Problem,
    n_steps: int = 300,
    batch_size: int = 128,
    learning_rate: float = 0.2,
    first_temperature: float = 3.0,
    last_temperature: float = 0.3,
) -> Tensor:
    """Logits of the candidates, learned so that draws of `set_size` of them move the mean prediction furthest.

    Every step draws a batch of cells and one relaxed set, which perturbs each peak in part
    (:meth:`~grids.search.objective.PerturbedCells.partly_perturbed`), and takes a step of Adam along the gradient of
    the mean prediction.

    Parameters
    ----------
    problem : Problem
    n_steps : int
    batch_size : int
        Cells drawn for each step; all if there are fewer.
    learning_rate : float
    first_temperature, last_temperature : float
        Of the relaxation, falling geometrically: the lower, the closer relaxed sets are to sets.

    Returns
    -------
    Tensor, shape (n_peaks,)
        Logits; -inf for peaks that are no candidates.
    """
    cells, allowed, rng = problem.cells, problem.allowed, problem.rng
    sign = cells.sign
    noise = torch.Generator().manual_seed(int(rng.integers(2**31)))
    logits = torch.zeros(len(allowed), device=cells.device, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=learning_rate, eps=ADAM_EPSILON)
    for temperature in np.geomspace(first_temperature, last_temperature, n_steps):
        batch = cells
        if len(cells) > batch_size:
            batch = cells.subset(np.sort(rng.choice(len(cells), batch_size, replace=False)))
        gumbel = -torch.empty(len(allowed)).exponential_(generator=noise).log().to(cells.device)
        inclusion = relaxed_top((logits + gumbel) / temperature, problem.set_size).to(cells.shift)
        shares = cells.shift.new_zeros(cells.n_peaks).index_put((allowed,), inclusion)
        objective = sign * batch.tail(problem.gene, batch.partly_perturbed(shares)).mean()
        batch.evaluations.n_backward += len(batch)
        optimiser.zero_grad()
        (-objective).backward()
        optimiser.step()
    return cells.shift.new_full((cells.n_peaks,), -torch.inf).index_put(
        (allowed,), logits.detach().to(cells.shift)
    )


def relaxed_top(scores: Tensor, k: int) -> Tensor:
    """The k largest scores, relaxed: ``sigmoid(scores - threshold)``, with the threshold at which it sums to k.

    The LML projection of Amos, Koltun and Kolter (arXiv:1906.08707): of the scores on the vectors of
    sum k between 0 and 1, regularised by binary entropy.

    Parameters
    ----------
    scores : Tensor, shape (n,)
        Differentiable.
    k : int

    Returns
    -------
    Tensor, shape (n,)
        Between 0 and 1; ones when n is at most k.
    """
    if len(scores) <= k:
        return 1 + 0 * scores  # all are in it, whatever their scores: the gradient is zero
    fixed = scores.detach()
    # At one end of the bracket no summand exceeds k / n, at the other none falls below it; 1 is for rounding.
    even = logit(k / len(fixed))
    threshold = brentq(
        lambda at: float(torch.sigmoid(fixed - at).sum()) - k,
        float(fixed.min()) - even - 1,
        float(fixed.max()) - even + 1,
    )
    inclusion = torch.sigmoid(fixed - threshold)
    # The threshold moves with the scores, by their mean weighted with the sigmoid's slopes (implicit function theorem).
    slope = inclusion * (1 - inclusion)
    weight = slope / slope.sum().clamp(min=torch.finfo(slope.dtype).tiny)
    return torch.sigmoid(scores - threshold - (weight * (scores - fixed)).sum())
