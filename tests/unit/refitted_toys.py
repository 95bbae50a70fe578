"""Linear surrogates that have refits, or a part for each gene, as the window surrogate does."""

from toys import LinearToy


class ReplicatedToy(LinearToy):
    """With refits of other weights."""

    def __init__(self, weights, replicates):
        super().__init__(weights)
        self.replicates = [LinearToy(w) for w in replicates]
        self.n_replicates = len(replicates)

    def replicate(self, b):
        return self.replicates[b]


class WindowToy(LinearToy):
    """Each gene sees the peaks of its window only, in the window's order, with the same weights."""

    def __init__(self, weights, windows):
        super().__init__(weights, genes=list(windows))
        self.weights, self.windows = weights, windows

    def for_gene(self, gene):
        columns = self.windows[gene]
        part = LinearToy([self.weights[i] for i in columns], genes=[gene])
        part.peaks = [self.peaks[i] for i in columns]
        return part
