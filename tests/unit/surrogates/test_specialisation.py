"""Specialisation to one cell type keeps what all types have taught, and improves on it."""

import numpy as np
import pytest
import torch
from models import toy_multiome

from grids.surrogates.cross_modality.model import Settings
from grids.surrogates.cross_modality.training import specialise, train_joint

SETTINGS = Settings(
    width=8,
    n_hidden=24,
    n_latent=8,
    rna_hidden=(24, 16),
    dropout=0.05,
    batch_size=32,
    max_epochs={"atac": 1, "rna": 1, "mapping": 3, "specialisation": 4},
)


@pytest.mark.parametrize("encoder", ["normalised", "paper"])
def test_a_type_improves_without_its_own_batch_statistics(encoder):
    multiome = toy_multiome(500)
    settings = Settings(**{**vars(SETTINGS), "encoder": encoder})
    joint, _ = train_joint(multiome, settings, seed=1)
    special, curves = specialise(joint, multiome, "A", settings, seed=1)
    judged = curves.loc[curves["split"] == "validation", "value"].to_numpy()
    assert len(judged) == 5 and (np.diff(judged[:3]) < 0).all()
    before, after = joint.state_dict(), special.state_dict()
    statistics = [name for name in before if "running_" in name]
    assert len(statistics) >= 4
    assert all(torch.equal(before[name], after[name]) for name in statistics)
    assert any(not torch.equal(before[name], after[name]) for name in before if "rna_decoder" in name)
