"""Checkpoints of the paper's public reference implementation: their sizes, and their weights under our names.

Every size is read from the shape of an entry. All entries that follow from the sizes have to be there with their
shapes, and no others: then the checkpoint is of the architecture of Liu et al., ACML 2024, section 3.1.
"""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from grids.io.errors import InputError, did_you_mean, listing
from grids.surrogates.cross_modality.model import CrossModalitySurrogate

WHERE = "reference checkpoint"
# Counters of batch normalisation, which no prediction depends on.
_IGNORED = ".num_batches_tracked"


@dataclass(frozen=True)
class Sizes:
    """Of the reference's model.

    Attributes
    ----------
    chromosomes : list of int
        Peaks of each chromosome.
    n_genes, n_types, n_latent : int
    width, n_hidden : int
        Of a peak's vector in the ATAC encoder, and of the layer behind it, per chromosome.
    decoder_width, decoder_hidden : int
        The same of the ATAC decoder.
    rna_hidden : list of int
        Of the RNA encoder, mirrored in its decoder.
    gate_hidden : int
        Of the gates of both latent maps.
    n_maps : int
        Layers of each latent map.
    discriminator_hidden : list of int, length 2
    """

    chromosomes: list[int]
    n_genes: int
    n_types: int
    n_latent: int
    width: int
    n_hidden: int
    decoder_width: int
    decoder_hidden: int
    rna_hidden: list[int]
    gate_hidden: int
    n_maps: int
    discriminator_hidden: list[int]

    @property
    def options(self) -> dict:
        """Sizes that :class:`~grids.surrogates.cross_modality.model.CrossModalitySurrogate` is built with."""
        by_names = ("chromosomes", "n_genes", "n_types")
        return {name: value for name, value in vars(self).items() if name not in by_names}


def as_tensors(weights: Mapping[str, Tensor | np.ndarray]) -> dict[str, Tensor]:
    """The entries as single-precision tensors in memory, without the counters of batch normalisation.

    Raises
    ------
    InputError
        An entry is no array of numbers.
    """
    tensors = {}
    for name, value in weights.items():
        try:
            value = value if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
        except TypeError:
            raise InputError(
                f"{WHERE}: entry '{name}' is {type(value).__name__}, not an array; give the model's state dict"
            ) from None
        if not name.endswith(_IGNORED):
            tensors[name] = value.detach().to("cpu", torch.float32)
    return tensors


def read_sizes(w: Mapping[str, Tensor]) -> Sizes:
    """The sizes of a checkpoint whose entries are all there, with the shapes that follow from them.

    Raises
    ------
    InputError
        An entry is missing, unknown, or of another shape than the others imply.
    """
    decoder_width, decoder_hidden = _shape(w, "atac_model.out_split_layer.0.0.weight", 2)
    _, n_latent = _shape(w, "atac_model.encoder.1.weight", 2)
    n_types, _ = _shape(w, "atac2rna_model.affine_offsets.0", 2)
    layers = sorted(
        (int(found[1]), tuple(value.shape))
        for name, value in w.items()
        if (found := re.fullmatch(r"rna_model\.encoder\.(\d+)\.weight", name)) and value.ndim == 2
    )
    if not layers:
        _shape(w, "rna_model.encoder.0.weight", 2)
    sizes = Sizes(
        chromosomes=[
            _shape(w, f"atac_model.out_split_layer.{c}.3.weight", 2)[0]
            for c in range(_count(w, r"atac_model\.(?:in|out)_split_layer\.(\d+)\."))
        ],
        n_genes=layers[0][1][1],
        n_types=n_types,
        n_latent=n_latent,
        width=_shape(w, "atac_model.embedding.weight", 3)[2],
        n_hidden=_shape(w, "atac_model.in_split_layer.0.3.weight", 2)[0],
        decoder_width=decoder_width,
        decoder_hidden=decoder_hidden,
        rna_hidden=[shape[0] for _, shape in layers[:-1]],
        gate_hidden=_shape(w, "atac2rna_model.fc_loc.0.weight", 2)[0],
        n_maps=_count(w, r"atac2rna_model\.affine_\w+\.(\d+)"),
        discriminator_hidden=[_shape(w, f"atac_discriminator.w_d.{i}.weight", 2)[0] for i in (0, 3)],
    )
    expected = dict(_entries(sizes))
    for name, shape in expected.items():
        if _shape(w, name, len(shape)) != shape:
            raise InputError(
                f"{WHERE}: entry '{name}' has shape {tuple(w[name].shape)}, but the other entries imply {shape}"
            )
    if unknown := [name for name in w if name not in expected]:
        raise InputError(
            f"{WHERE}: entry '{unknown[0]}' of shape {tuple(w[unknown[0]].shape)} is no part of the model that the "
            f"other entries imply.{did_you_mean(unknown[0], expected)}"
        )
    return sizes


def _count(w: Mapping[str, Tensor], pattern: str) -> int:
    """Of things that are numbered from 0 on, in names that begin with the pattern."""
    return max((int(found[1]) for name in w if (found := re.match(pattern, name))), default=-1) + 1


def _shape(w: Mapping[str, Tensor], name: str, n_dimensions: int) -> tuple[int, ...]:
    if name not in w:
        raise InputError(
            f"{WHERE}: entry '{name}' is missing; it has {listing(w, 4)}.{did_you_mean(name, w)}"
        )
    shape = tuple(w[name].shape)
    if len(shape) != n_dimensions:
        raise InputError(f"{WHERE}: entry '{name}' has shape {shape}; expected {n_dimensions} dimensions")
    return shape


def _entries(s: Sizes) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every entry."""
    n_chromosomes = len(s.chromosomes)
    yield "atac_model.embedding.weight", (sum(s.chromosomes), 2, s.width)
    for c, n_peaks in enumerate(s.chromosomes):
        into, out = f"atac_model.in_split_layer.{c}", f"atac_model.out_split_layer.{c}"
        yield from [*_norm(f"{into}.1", s.width), (f"{into}.2.weight", (1,))]
        yield from _linear(f"{into}.3", s.width, s.n_hidden)
        yield from [*_norm(f"{into}.4", s.n_hidden), (f"{into}.5.weight", (1,))]
        yield from _linear(f"{out}.0", s.decoder_hidden, s.decoder_width)
        yield from [*_norm(f"{out}.1", s.decoder_width), (f"{out}.2.weight", (1,))]
        yield from _linear(f"{out}.3", s.decoder_width, n_peaks)
    yield from _linear("atac_model.encoder.0", n_chromosomes * s.n_hidden, s.n_latent)
    yield from _linear("atac_model.encoder.1", s.n_latent, s.n_latent)
    yield from _linear("atac_model.decoder.0", s.n_latent, n_chromosomes * s.decoder_hidden)
    yield from _norm("atac_model.decoder.1", n_chromosomes * s.decoder_hidden)
    dense = [s.n_genes, *s.rna_hidden, s.n_latent]
    for part, of_layers in (("encoder", dense), ("decoder", dense[::-1])):
        for layer, (n_in, n_out) in enumerate(itertools.pairwise(of_layers)):
            yield from _linear(f"rna_model.{part}.{3 * layer}", n_in, n_out)
            if layer < len(s.rna_hidden):
                yield from _norm(f"rna_model.{part}.{3 * layer + 1}", n_out)
                yield f"rna_model.{part}.{3 * layer + 2}.weight", (1,)
    for maps in ("atac2rna_model", "rna2atac_model"):
        for layer in range(s.n_maps):
            yield f"{maps}.affine_matrices.{layer}", (s.n_types, s.n_latent**2)
            yield f"{maps}.affine_offsets.{layer}", (s.n_types, s.n_latent)
        yield from _linear(f"{maps}.fc_loc.0", s.n_latent, s.gate_hidden)
        yield from [*_linear(f"{maps}.fc_loc.2", s.gate_hidden, s.n_types), (f"{maps}.act.weight", (1,))]
    first, second = s.discriminator_hidden
    for name in ("atac_discriminator.w_d", "rna_discriminator.w_d"):
        yield from [*_linear(f"{name}.0", s.n_latent, first), (f"{name}.1.weight", (1,))]
        yield from [*_linear(f"{name}.3", first, second), (f"{name}.4.weight", (1,))]
        yield from _linear(f"{name}.5", second, s.n_types)


def _linear(name: str, n_in: int, n_out: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"{name}.weight", (n_out, n_in)), (f"{name}.bias", (n_out,))]


def _norm(name: str, n: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"{name}.{part}", (n,)) for part in ("weight", "bias", "running_mean", "running_var")]


_RENAMED = (
    (r"^atac_model\.encoder\.(.*)", r"atac_encoder.to_latent.\1"),
    (r"^atac_model\.decoder\.(.*)", r"atac_decoder.from_latent.\1"),
    (r"^rna_model\.encoder\.(.*)", r"rna_encoder.\1"),
    (r"^rna_model\.decoder\.(.*)", r"rna_decoder.\1"),
    (r"^atac2rna_model\.", "atac_to_rna."),
    (r"^rna2atac_model\.", "rna_to_atac."),
    (r"\.fc_loc\.", ".gate."),
    (r"\.act\.weight$", ".activation.weight"),
    (r"^(atac|rna)_discriminator\.w_d\.", r"\1_discriminator.layers."),
    (r"\.affine_offsets\.", ".offsets."),
    (r"\.affine_matrices\.", ".matrices."),
)


def renamed(w: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """Under the names of our cross-modality surrogate, by chromosome stacked."""
    state = {}
    for name, value in w.items():
        if "_split_layer." in name or "embedding" in name:
            continue
        if ".affine_matrices." in name:
            value = value.view(-1, sizes.n_latent, sizes.n_latent)
        for pattern, replacement in _RENAMED:
            name = re.sub(pattern, replacement, name)
        state[name] = value

    def stacked(layer: str, join=torch.cat) -> Tensor:
        return join([w[f"atac_model.{layer.replace('*', str(c))}"] for c in range(len(sizes.chromosomes))])

    embedding = w["atac_model.embedding.weight"]
    state["atac_encoder.shift"] = embedding[:, 1] - embedding[:, 0]
    state["atac_encoder.closed_state"] = torch.stack(
        [part[:, 0].sum(0) for part in embedding.split(sizes.chromosomes)]
    )
    for ours, layer in (
        ("atac_encoder.norm_in", "in_split_layer.*.1"),
        ("atac_encoder.norm_out", "in_split_layer.*.4"),
        ("atac_decoder.norm", "out_split_layer.*.1"),
    ):
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{ours}.{part}"] = stacked(f"{layer}.{part}")
    state["atac_encoder.activation_in.weight"] = stacked("in_split_layer.*.2.weight")
    state["atac_encoder.activation_out.weight"] = stacked("in_split_layer.*.5.weight")
    state["atac_decoder.activation.weight"] = stacked("out_split_layer.*.2.weight")
    for ours, layer in (
        ("atac_encoder.linear", "in_split_layer.*.3"),
        ("atac_decoder.linear", "out_split_layer.*.0"),
    ):
        state[f"{ours}.weight"] = stacked(f"{layer}.weight", torch.stack).transpose(1, 2).contiguous()
        state[f"{ours}.bias"] = stacked(f"{layer}.bias", torch.stack)
    state["atac_decoder.peak_weight"] = stacked("out_split_layer.*.3.weight")
    state["atac_decoder.peak_bias"] = stacked("out_split_layer.*.3.bias")
    return state


def surrogate_of(
    weights: Mapping[str, Tensor | np.ndarray],
    chromosome_sizes: Sequence[int] | None = None,
    *,
    peaks: Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    cell_types: Sequence[str] | None = None,
) -> CrossModalitySurrogate:
    """The surrogate held by a state dict of the paper's public reference implementation.

    Parameters
    ----------
    weights : mapping of str to array
        The state dict under the reference's own names (``atac_model.embedding.weight``, ...), of any sizes.
    chromosome_sizes : sequence of int, optional
        Number of peaks of each chromosome, to be held against the checkpoint's; peaks are in chromosome order.
    peaks, genes, cell_types : sequence of str, optional
        Names; numbered ones by default.

    Returns
    -------
    CrossModalitySurrogate
        In evaluation mode, ``encoder="paper"``.

    Raises
    ------
    InputError
        When an entry is missing, unknown or of another shape than the others imply, or names or chromosome sizes
        are not as many as the checkpoint has.
    """
    w = as_tensors(weights)
    sizes = read_sizes(w)
    if chromosome_sizes is not None and list(chromosome_sizes) != sizes.chromosomes:
        raise InputError(
            f"chromosome_sizes: {listing(chromosome_sizes)} given, but the checkpoint's chromosomes have "
            f"{listing(sizes.chromosomes)} peaks"
        )
    n_of = {"peak": sum(sizes.chromosomes), "gene": sizes.n_genes, "type": sizes.n_types}
    names = [
        [f"{kind}_{i}" for i in range(n)] if given is None else list(given)
        for (kind, n), given in zip(n_of.items(), (peaks, genes, cell_types), strict=True)
    ]
    for what, given, n in zip(("peaks", "genes", "cell_types"), names, n_of.values(), strict=True):
        if len(given) != n:
            raise InputError(f"{what}: {len(given)} names given, but the checkpoint has {n} of them")
    chromosome = np.repeat(np.arange(len(sizes.chromosomes)), sizes.chromosomes)
    model = CrossModalitySurrogate(*names, chromosome, encoder="paper", dropout=0.0, **sizes.options)
    model.load_state_dict(model.state_dict() | renamed(w, sizes))
    return model.eval()
