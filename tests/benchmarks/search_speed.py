"""One step of the search at the paper's scale: pooled form against plain dense evaluation, in the same run.

    bash envs/run python tests/benchmarks/search_speed.py

The dense step does what the paper's reference implementation does: it looks up the embedding of every peak of every
cell of the batch, sums it by chromosome, and evaluates the candidates one at a time. Both steps see the same
batch, members and weights, and must choose the same peak. Then steps that see all cells of the type, with and without
screening the candidates on a sample of the cells.
"""
# ruff: noqa: E402 (imports follow the path that leads to them)

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the workflow

import numpy as np
import torch
from scipy import sparse

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from grids.search.objective import PerturbedCells
from grids.search.search import Search
from grids.surrogates.cross_modality.model import CrossModalitySurrogate

CHROMOSOME_SIZES = [
    11348, 6169, 6997, 6364, 3554, 4233, 4076, 4178, 4966, 3189, 3807, 10272, 3469, 1478, 2488, 8367, 6290, 7655,
    7203, 6950, 6250, 5547, 2245, 124,
]  # fmt: skip
N_OPEN, N_GENES, BATCH, SET_SIZE, N_CANDIDATES = 4811, 3000, 64, 10, 32
SET_SIZES = (10, 128)


def cells_and_surrogate(n_cells: int, encoder: str) -> tuple[sparse.csr_matrix, CrossModalitySurrogate]:
    """Cells with about 4,811 open peaks each and an untrained surrogate, at the paper's sizes."""
    rng = np.random.default_rng(0)
    n_peaks = sum(CHROMOSOME_SIZES)
    weight = rng.lognormal(0, 1, n_peaks)
    chance = np.minimum(weight * N_OPEN / weight.sum(), 1)
    rows = [np.flatnonzero(rng.random(n_peaks) < chance).astype(np.int32) for _ in range(n_cells)]
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int32)
    opened = sparse.csr_matrix(
        (np.ones(indptr[-1], np.uint8), np.concatenate(rows), indptr), (n_cells, n_peaks)
    )
    torch.manual_seed(0)
    sizes = {"width": 16, "n_hidden": 32} if encoder == "paper" else {}
    surrogate = CrossModalitySurrogate(
        [f"p{i}" for i in range(n_peaks)],
        [f"g{i}" for i in range(N_GENES)],
        [f"t{i}" for i in range(9)],
        np.repeat(np.arange(len(CHROMOSOME_SIZES)), CHROMOSOME_SIZES),
        encoder=encoder,
        **sizes,
    )
    with torch.no_grad():
        if encoder == "normalised":  # states of unit variance, as those that training starts from
            surrogate.atac_encoder.loadings *= surrogate.atac_encoder.loadings.shape[1] ** 0.5 * N_OPEN**0.5
        surrogate.train()
        surrogate.tail(surrogate.pool(opened[:256]))
        surrogate.rna_decoder[-1].bias.fill_(3.0)
    return opened, surrogate.eval()


class DenseStep:
    """The same step on dense cells and per-peak embeddings, one candidate at a time."""

    def __init__(self, surrogate: CrossModalitySurrogate, gene: int):
        self.surrogate, self.gene = surrogate, torch.tensor([gene])
        closed = torch.zeros_like(surrogate.shift)
        self.embedding = torch.stack([closed, surrogate.shift.detach()], 1).flatten(0, 1)
        self.first_row = torch.arange(len(surrogate.peaks)) * 2

    def embedded(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.embedding(self.first_row + x, self.embedding)

    def predict(self, embedded: torch.Tensor) -> torch.Tensor:
        pooled = torch.stack([part.sum(1) for part in embedded.split(CHROMOSOME_SIZES, 1)], 1)
        return self.surrogate.tail(pooled + self.surrogate.atac_encoder.closed_state, self.gene)[:, 0]

    def step(self, x: torch.Tensor, members: torch.Tensor, coordinate: int) -> int:
        others = torch.cat([members[:coordinate], members[coordinate + 1 :]])
        without = x.clone()
        without[:, others] = 0
        embedded = self.embedded(without).requires_grad_()
        (gradient,) = torch.autograd.grad(self.predict(embedded).mean(), embedded)
        change = -(self.surrogate.shift.detach() * x[..., None])
        gain = -(change * gradient).sum((0, 2))
        gain[members] = -torch.inf
        candidates = torch.cat([members[coordinate].view(1), gain.topk(N_CANDIDATES).indices])
        with torch.no_grad():
            values = []
            for candidate in candidates:
                perturbed = without.clone()
                perturbed[:, candidate] = 0
                values.append(float(self.predict(self.embedded(perturbed)).mean()))
        return int(candidates[int(np.argmin(values))])


def seconds(function, repeats: int) -> tuple[float, object]:
    """Median wall time of a call, and its last result."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - started)
    return statistics.median(times), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1000, help="cells of the type")
    parser.add_argument(
        "--repeats", type=int, default=21, help="pooled steps timed (the dense one is timed once)"
    )
    parser.add_argument("--skip-dense", action="store_true", help="time the pooled steps only")
    arguments = parser.parse_args()
    print(
        f"{sum(CHROMOSOME_SIZES):,} peaks, batch {BATCH}, L {SET_SIZE}, k {N_CANDIDATES}, {N_GENES:,} genes"
    )
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}")
    for encoder in ("paper", "normalised"):
        opened, surrogate = cells_and_surrogate(arguments.cells, encoder)
        cells = PerturbedCells(surrogate, opened, 0)
        search = Search(cells, 7, n_candidates=N_CANDIDATES, batch_size=BATCH)
        members = search.random(SET_SIZE, np.random.default_rng(1))
        batch = np.arange(BATCH)
        pooled, chosen = seconds(
            lambda s=search, m=members, b=batch: s.step(s.cells.subset(b), m, 0), arguments.repeats
        )
        print(f"{encoder}: pooled {pooled:.4f} s per step (median of {arguments.repeats})")
        if encoder == "paper" and not arguments.skip_dense:
            x = torch.from_numpy(opened[:BATCH].toarray().astype(np.int64))
            dense, dense_chosen = seconds(lambda: DenseStep(surrogate, 7).step(x, members, 0), 1)  # noqa: B023
            if dense_chosen != int(chosen):
                raise SystemExit(f"the steps disagree: dense chose peak {dense_chosen}, pooled {int(chosen)}")
            print(f"{encoder}: dense {dense:.2f} s per step; both chose peak {dense_chosen}")
            print(f"{encoder}: ratio dense / pooled {dense / pooled:.0f}")
        for set_size in SET_SIZES:
            compare_screened(encoder, cells, set_size)


def compare_screened(encoder: str, cells: PerturbedCells, set_size: int) -> None:
    """Print what steps from the greedy set cost in all cells, with and without screening, and what both reach."""
    screened = Search(cells, 7, n_candidates=N_CANDIDATES, rng=np.random.default_rng(0))
    exact = Search(cells, 7, n_candidates=N_CANDIDATES)
    members = screened.greedy(set_size)
    exact._alone  # noqa: B018 (once for all steps)
    times, reached = {screened: [], exact: []}, {}
    for coordinate in range(min(set_size, 10)):
        for search in times:
            spent, chosen = seconds(lambda s=search, c=coordinate: s.step(cells, members, c), 1)
            times[search].append(spent)
            replaced = members.clone()
            replaced[coordinate] = chosen
            reached.setdefault(search, []).append(float(cells.mean_of_sets(replaced[None], 7)))
    screened_time, exact_time = (statistics.median(times[search]) for search in (screened, exact))
    worst = max(abs(a - b) for a, b in zip(reached[screened], reached[exact], strict=True))
    print(
        f"{encoder}: L {set_size}, all {len(cells)} cells: {screened_time:.4f} s per step, without screening "
        f"{exact_time:.4f} (ratio {exact_time / screened_time:.1f}); objectives differ by at most {worst:.1e}"
    )


if __name__ == "__main__":
    main()
