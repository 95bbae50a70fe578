"""A classifier of binary images as a surrogate: the first linear layer pools the pixels that are drawn."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from grids.surrogates import storage
from grids.surrogates.pooling import PooledSurrogate


@storage.register
class Classifier(PooledSurrogate):
    """Multilayer perceptron with ReLU; pixels are its peaks, the log odds of one of two classes its only gene.

    Parameters
    ----------
    peaks : sequence of str
        Names of the pixels.
    genes : sequence of str
        Name of the log odds.
    cell_types : sequence of str
        Both classes; the odds are those of the second.
    n_hidden : sequence of int
        Units of each hidden layer.
    """

    name = "classifier"
    n_groups = 1

    def __init__(
        self,
        peaks: Sequence[str],
        genes: Sequence[str],
        cell_types: Sequence[str],
        n_hidden: Sequence[int] = (256, 128),
    ):
        super().__init__()
        self.peaks, self.genes, self.cell_types = list(peaks), list(genes), list(cell_types)
        self.options = {"n_hidden": list(n_hidden)}
        first = nn.Linear(len(self.peaks), n_hidden[0])
        self.shift = nn.Parameter(first.weight.detach().T.contiguous())
        self.bias = nn.Parameter(first.bias.detach())
        layers = []
        for n_in, n_out in zip(n_hidden, [*n_hidden[1:], len(self.genes)], strict=True):
            layers += [nn.ReLU(), nn.Linear(n_in, n_out)]
        self.layers = nn.Sequential(*layers)
        self.register_buffer(
            "group_of_peak", torch.zeros(len(self.peaks), dtype=torch.long), persistent=False
        )

    def tail(self, pooled: Tensor, genes: Tensor | None = None) -> Tensor:
        """Log odds (natural log) from pooled states; see :meth:`PooledSurrogate.tail`."""
        log_odds = self.layers(pooled[:, 0] + self.bias)
        return log_odds if genes is None else log_odds[:, genes]

    @classmethod
    def restore(cls, names: dict, weights: dict, options: dict) -> "Classifier":
        """Rebuild a stored classifier."""
        model = cls(**names, **options)
        model.load_state_dict(weights)
        return model
