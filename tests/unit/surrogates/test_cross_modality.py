"""Parity with the numbers of the public reference implementation, and the parts of the model."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import CHROMOSOMES, open_peaks, random_surrogate
from reference_code import ReferenceModel
from scipy import sparse

from benchmarks.reference.checkpoint import surrogate_of
from grids.io.errors import InputError
from grids.surrogates import storage
from grids.surrogates.cross_modality.layers import PReLU
from grids.surrogates.cross_modality.losses import (
    focal_binary_cross_entropy,
    masked_squared_error,
    open_and_drawn_peaks,
)
from grids.surrogates.cross_modality.model import CrossModalitySurrogate, NormalisedEncoder


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual.detach().numpy(), expected, atol=tolerance, rtol=tolerance)


def test_forward_passes_equal_the_reference(model, reference):
    opened = sparse.csr_matrix(reference["x"])
    z = model.encode_atac(opened)
    close(z, reference["out/atac_latent"])
    close(model.atac_to_rna(z), reference["out/rna_latent_mapped"])
    close(model.predict(opened), reference["out/predicted_expression"])
    every_peak = torch.arange(800)
    close(model.atac_decoder(z[:32], every_peak), reference["out/atac_reconstruction_logits"])
    z_rna = model.rna_encoder(torch.from_numpy(reference["y"][:32]))
    close(model.decode_rna(z_rna), reference["out/rna_reconstruction"])
    close(model.atac_decoder(model.rna_to_atac(z_rna), every_peak), reference["out/rna2atac_logits"])


def test_focal_loss_equals_the_reference(reference):
    logits = torch.from_numpy(reference["out/atac_reconstruction_logits"])
    target = torch.from_numpy(reference["x"][:32]).float()
    close(focal_binary_cross_entropy(logits, target), reference["out/focal_bce_gamma2"])


def test_only_the_asked_genes_are_decoded(model, reference):
    opened = sparse.csr_matrix(reference["x"][:9])
    genes = torch.tensor([41, 3])
    close(model.eval().tail(model.pool(opened), genes), model.predict(opened)[:, genes].numpy())


def test_logits_of_chosen_pairs_equal_the_full_decoder():
    model = random_surrogate("paper")
    z = torch.randn(5, 6)
    cells, peaks = torch.tensor([0, 4, 2, 2]), torch.tensor([39, 0, 15, 16])
    full = model.atac_decoder(z, torch.arange(40))
    torch.testing.assert_close(model.atac_decoder.logits_at(z, cells, peaks), full[cells, peaks])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w, s: w.pop("atac_model.encoder.0.weight"), "atac_model.encoder.0.weight"),
        (lambda w, s: w.pop("rna_model.decoder.6.bias"), "'rna_model.decoder.6.bias' is missing"),
        (lambda w, s: w.pop("atac_model.in_split_layer.1.3.weight"), "in_split_layer.1.3.weight"),
        (lambda w, s: w.pop("atac_model.embedding.weight"), "embedding"),
        (lambda w, s: s.append(5), r"400, 250, 150, 5 given, .* have 400, 250, 150 peaks"),
        (
            lambda w, s: w.pop("atac_model.out_split_layer.2.3.weight"),
            "out_split_layer.2.3.weight' is missing",
        ),
        (lambda w, s: w.pop("atac2rna_model.affine_offsets.2"), "affine_offsets.2' is missing"),
        (
            lambda w, s: w.update({"atac_model.in_split_layer.1.4.weight": np.ones(31)}),
            r"in_split_layer.1.4.weight' has shape \(31,\), but the other entries imply \(32,\)",
        ),
        (
            lambda w, s: w.update({"rna2atac_model.affine_matrices.1": np.ones((3, 380))}),
            r"affine_matrices.1' has shape \(3, 380\), but the other entries imply \(3, 400\)",
        ),
        (
            lambda w, s: w.update({"atac_model.embedding.weight": np.ones((800, 16))}),
            r"embedding.weight' has shape \(800, 16\); expected 3 dimensions",
        ),
        (
            lambda w, s: w.update({"rna_model.head.weight": np.ones((2, 3))}),
            r"head.weight' of shape \(2, 3\) is no",
        ),
        (lambda w, s: w.update(optimiser={"lr": 1}), "'optimiser' is dict, not an array"),
    ],
)
def test_a_broken_reference_checkpoint_is_refused_with_the_weight_named(reference, change, message):
    weights = {k.removeprefix("weight/"): reference[k] for k in reference.files if k.startswith("weight/")}
    sizes = reference["chromosome_dims"].tolist()
    change(weights, sizes)
    with pytest.raises(InputError, match=message):
        surrogate_of(weights, sizes)


@pytest.mark.parametrize(("what", "n"), [("peaks", 800), ("genes", 50), ("cell_types", 3)])
def test_names_are_as_many_as_the_checkpoint_has(reference, what, n):
    weights = {k.removeprefix("weight/"): reference[k] for k in reference.files if k.startswith("weight/")}
    with pytest.raises(InputError, match=f"{what}: 2 names given, but the checkpoint has {n}"):
        surrogate_of(weights, **{what: ["a", "b"]})


def reference_of(reference) -> ReferenceModel:
    weights = {k.removeprefix("weight/"): reference[k] for k in reference.files if k.startswith("weight/")}
    model = ReferenceModel([400, 250, 150], 50, 3, rna_hidden=(64, 32))
    model.load_state_dict({name: torch.as_tensor(value) for name, value in weights.items()})
    return model


def test_the_plain_reference_computes_what_the_public_code_does(reference):
    model, x = reference_of(reference), torch.from_numpy(reference["x"])
    close(model(x), reference["out/predicted_expression"])
    with torch.no_grad():
        close(
            model.atac_model.decode(model.atac_model.encode(x[:32])),
            reference["out/atac_reconstruction_logits"],
        )


@given(
    chromosomes=st.lists(st.integers(1, 12), min_size=1, max_size=5),
    n_genes=st.integers(1, 9),
    n_types=st.integers(1, 6),
    sizes=st.fixed_dictionaries(
        {
            **{name: st.integers(1, 9) for name in ("n_latent", "width", "n_hidden", "gate_hidden")},
            "rna_hidden": st.lists(st.integers(1, 9), max_size=4),
            "n_maps": st.integers(1, 4),
            "discriminator_hidden": st.tuples(st.integers(1, 9), st.integers(1, 9)),
        }
    ),
    half=st.booleans(),
)
@settings(max_examples=60)
def test_a_checkpoint_of_any_size_predicts_as_the_reference_code_does(
    tmp_path_factory, chromosomes, n_genes, n_types, sizes, half
):
    torch.manual_seed(0)
    theirs = ReferenceModel(chromosomes, n_genes, n_types, **sizes)
    if half:  # as stored to save space
        theirs = theirs.bfloat16()
    ours = surrogate_of(theirs.state_dict(keep_vars=True), chromosomes)
    theirs = theirs.float()
    path = tmp_path_factory.mktemp("checkpoint") / "model.safetensors"
    storage.save(ours, path)
    stored = storage.load(path)
    x = torch.rand(7, sum(chromosomes)) < 0.4
    opened = sparse.csr_matrix(x.numpy().astype(np.uint8))
    expected, peaks = theirs(x), torch.arange(sum(chromosomes))
    scale = max(1.0, float(expected.abs().max()))
    for model in (ours, stored):
        close(model.predict(opened) / scale, (expected / scale).numpy())
    with torch.no_grad():
        z = theirs.atac_model.encode(x)
        logits, mapped = theirs.atac_model.decode(z), theirs.rna2atac_model(z)
    for actual, wanted in ((ours.atac_decoder(z, peaks), logits), (ours.rna_to_atac(z), mapped)):
        close(actual / wanted.abs().max().clamp(min=1), (wanted / wanted.abs().max().clamp(min=1)).numpy())


def test_loadings_start_at_latent_semantic_indexing():
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], [120, 50, 30])
    share = np.where(groups[:, None] == np.arange(40) % 3, 0.6, 0.1)
    opened = sparse.csr_matrix((rng.random((200, 40)) < share).astype(np.uint8))
    encoder = NormalisedEncoder(40, n_latent=3, width=5)
    encoder.start_from(opened, seed=1)
    depth = np.diff(opened.indptr)
    idf = np.log1p(200 / np.asarray(opened.sum(0)).ravel())
    tf_idf = opened.toarray() / depth[:, None] * idf
    vectors = np.linalg.svd(tf_idf, full_matrices=False)[0][:, 1:3]
    components = opened.toarray() @ encoder.loadings.detach().numpy() / depth[:, None]
    np.testing.assert_allclose(components.mean(0), 0, atol=1e-5)
    for component, vector in zip(components[:, 1:3].T, vectors.T, strict=True):
        assert abs(np.corrcoef(component, vector)[0, 1]) > 0.999
        assert component.std() == pytest.approx(1.0, abs=0.05)
    np.testing.assert_allclose(encoder.log_depth_mean.item(), np.log(depth).mean(), rtol=1e-5)


def test_centring_the_loadings_changes_no_prediction_but_what_closing_a_peak_does():
    model = random_surrogate("normalised")
    opened = open_peaks(50)[1:]
    before, shift = model.predict(opened), model.shift.clone()
    model.atac_encoder.centre(opened)
    torch.testing.assert_close(model.predict(opened), before, atol=1e-5, rtol=1e-5)
    assert (model.shift - shift).abs().max() > 1e-3
    pooled = model.pool(opened)[:, 0]
    torch.testing.assert_close((pooled[:, :-1] / pooled[:, -1:]).mean(0), torch.zeros(5), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("chromosomes", [[300], [90, 1, 209], [1] * 300])
def test_drawn_peaks_are_closed_ones_and_about_as_many(chromosomes, dtype):
    opened = sparse.random(50, 300, density=0.1, random_state=1, format="csr")
    opened.data[:] = 1
    opened.sort_indices()
    if dtype == torch.int64:  # as many peaks as only fit then
        opened.resize(50, 2**25)
        chromosomes = [*chromosomes, 2**25 - 300]
    chromosome = np.repeat(np.arange(len(chromosomes), dtype=np.int16), chromosomes)
    cells, peaks, target = open_and_drawn_peaks(opened, chromosome, torch.Generator().manual_seed(0))
    assert cells.dtype == peaks.dtype == dtype
    cells, peaks, is_open = cells.numpy(), peaks.numpy(), target.numpy() > 0
    assert set(zip(cells[is_open], peaks[is_open], strict=True)) == set(zip(*opened.nonzero(), strict=True))
    assert is_open.sum() == opened.nnz
    open_pairs = set(zip(*opened.nonzero(), strict=True))
    assert not open_pairs & set(zip(cells[~is_open], peaks[~is_open], strict=True))
    assert 0.8 * opened.nnz < (~is_open).sum() <= opened.nnz
    assert cells.max() < 50 and peaks.max() < opened.shape[1] and min(cells.min(), peaks.min()) >= 0
    np.testing.assert_array_equal(np.lexsort((peaks, cells, chromosome[peaks])), np.arange(len(peaks)))


def test_pairs_are_those_that_are_drawn():
    opened = sparse.csr_matrix(([1, 1, 1], ([0, 0, 2], [1, 3, 0])), shape=(3, 4))
    drawn = torch.randint(12, (3,), generator=torch.Generator().manual_seed(4)).tolist()
    cells, peaks, target = open_and_drawn_peaks(
        opened, np.array([0, 0, 1, 1]), torch.Generator().manual_seed(4)
    )
    expected = [(0, 1), (0, 3), (2, 0), *(divmod(pair, 4) for pair in drawn if pair not in (1, 3, 8))]
    expected.sort(key=lambda pair: (pair[1] // 2, *pair))
    assert list(zip(cells.tolist(), peaks.tolist(), strict=True)) == expected
    assert [pair in ((0, 1), (0, 3), (2, 0)) for pair in expected] == [bool(t) for t in target]


def test_masked_error_weighs_zeros_and_non_zeros_alike():
    observed = torch.zeros(100, 100)
    observed[:, :10] = 1.0
    predicted = torch.full((100, 100), 0.25)
    value = masked_squared_error(predicted, observed, torch.Generator().manual_seed(0))
    assert value.item() == pytest.approx((0.75**2 + 0.25**2) / 2, rel=0.05)
    assert masked_squared_error(predicted, torch.zeros(100, 100), torch.Generator()).item() == 0.0


def test_unknown_encoder_and_wrong_chromosome_codes_are_refused():
    with pytest.raises(InputError, match="'normalised' or 'paper'"):
        CrossModalitySurrogate(["p"], ["g"], ["t"], [0], encoder="transformer")
    with pytest.raises(InputError, match="one code per peak"):
        CrossModalitySurrogate(["p"], ["g"], ["t"], CHROMOSOMES)


def test_gradients_of_many_pairs_do_not_depend_on_how_threads_are_scheduled():
    model = random_surrogate("paper")
    rng = torch.Generator().manual_seed(0)
    cells, peaks = (torch.randint(n, (200_000,), generator=rng) for n in (64, 40))
    z, weight = torch.randn(64, 6, generator=rng), torch.randn(200_000, generator=rng)
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        parameters = list(model.atac_decoder.parameters())
        gradients = [
            torch.autograd.grad((model.atac_decoder.logits_at(z, cells, peaks) * weight).sum(), parameters)
            for _ in range(8)
        ]
    finally:
        torch.set_num_threads(n_threads)
    assert all(torch.equal(a, b) for again in gradients[1:] for a, b in zip(again, gradients[0], strict=True))


@pytest.mark.parametrize(("shape", "n_weights"), [((9, 4), 1), ((9, 4), 4), ((9, 3, 4), 1), ((9, 3, 4), 3)])
def test_prelu_and_its_gradients_equal_those_of_torch(shape, n_weights):
    x = torch.randn(shape, dtype=torch.double, requires_grad=True)
    ours, theirs = PReLU(n_weights).double(), torch.nn.PReLU(n_weights).double()
    with torch.no_grad():
        ours.weight.copy_(torch.linspace(-0.5, 1.5, n_weights))
    theirs.load_state_dict(ours.state_dict())
    actual, expected = ours(x), theirs(x)
    torch.testing.assert_close(actual, expected)
    weights = torch.randn(shape, dtype=torch.double)
    for layer, y in ((ours, actual), (theirs, expected)):
        layer.gradient = torch.autograd.grad((weights * y).sum(), [x, layer.weight])
    torch.testing.assert_close(ours.gradient, theirs.gradient)
