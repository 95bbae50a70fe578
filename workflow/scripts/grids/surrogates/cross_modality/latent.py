"""A picture of the latent spaces: test cells of both modalities before and after mapping."""

import numpy as np
import pandas as pd
import torch

from grids.io.caps import LATENT_CELLS
from grids.io.cells import Multiome
from grids.io.seeds import derive_seed, generator
from grids.surrogates.cross_modality.model import CrossModalitySurrogate

LATENT_COLUMNS = ["cell", "modality", "mapping", "cell_type", "umap_1", "umap_2"]


@torch.no_grad()
def latent_umap(surrogate: CrossModalitySurrogate, multiome: Multiome, seed: int) -> pd.DataFrame:
    """UMAP of both latents, before mapping and after: :data:`LATENT_COLUMNS`, a row per cell, modality and mapping.

    Both modalities share one layout: ``before`` shows each one's own latent (the spaces differ, so they lie
    apart), ``after`` the ATAC latents mapped to the RNA space beside the RNA latents. Of each modality, at most
    4,000 test cells are drawn.
    """
    import umap

    surrogate.eval()
    cells = {name: _some(getattr(multiome, name).stream(split="test"), seed) for name in ("atac", "rna")}
    shown = [
        pd.DataFrame({"cell": m.obs.index, "modality": name, "cell_type": m.obs["cell_type"].to_numpy()})
        for name, m in cells.items()
    ]
    z_atac = surrogate.encode_atac(cells["atac"].X)
    z_rna = surrogate.rna_encoder(torch.from_numpy(cells["rna"].X.toarray()).to(z_atac.device))
    tables = []
    for mapping, atac in (("before", z_atac), ("after", surrogate.atac_to_rna(z_atac))):
        joined = torch.cat([atac, z_rna]).cpu().numpy()
        joined = joined / np.maximum(joined.std(), 1e-12)
        layout = umap.UMAP(
            n_neighbors=min(15, len(joined) - 1), random_state=derive_seed(seed, "umap") % 2**31, n_jobs=1
        ).fit_transform(joined)
        table = pd.concat(shown, ignore_index=True)
        tables.append(table.assign(mapping=mapping, umap_1=layout[:, 0], umap_2=layout[:, 1]))
    return pd.concat(tables, ignore_index=True)[LATENT_COLUMNS]


def _some(modality, seed: int):
    n = len(modality.obs)
    if n <= LATENT_CELLS:
        return modality.cells()
    chosen = np.zeros(n, bool)
    chosen[generator(seed, "latent").choice(n, LATENT_CELLS, replace=False)] = True
    return modality.cells(chosen)
