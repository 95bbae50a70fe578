"""A Hi-C contact map (.cool, .mcool): opened, checked against the run, and read piece by piece."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.signal import correlate

from grids.data.chromosomes import (
    CHROMOSOME_SIZES,
    agree_on_assembly,
    assembly_name,
    bare_chromosome,
    harmonise_chromosomes,
)
from grids.io.errors import InputError, listing
from grids.io.logging import log

if TYPE_CHECKING:
    import cooler

PREFERRED_RESOLUTION_BP = 10_000
PIXELS_PER_CHUNK = 4_000_000
CELLS_PER_STRIP = 4_000_000


@dataclass(frozen=True)
class ContactMap:
    """One resolution of a contact map.

    Attributes
    ----------
    name_of : mapping of str to str
        The run's name of a chromosome -> the map's.
    is_balanced : bool
        Contacts are multiplied by the balancing weights of both bins; otherwise they are raw counts.
    """

    cooler: "cooler.Cooler"
    name_of: Mapping[str, str]
    is_balanced: bool

    @property
    def resolution_bp(self) -> int:
        return int(self.cooler.binsize)

    def size_bp(self, chromosome: str) -> int:
        """Size of a chromosome under its name in the run."""
        return int(self.cooler.chromsizes[self.name_of[chromosome]])


@dataclass(frozen=True)
class BinContacts:
    """Contacts of some bins with all bins of their chromosome.

    Attributes
    ----------
    observed : csr_array, shape (n_chosen, n_bins)
        Contacts of each chosen bin; balanced or raw.
    expected : ndarray, shape (n_bins,)
        Mean contact of all pairs of usable bins by the number of bins between them; NaN where there is no pair.
    usable : ndarray of bool, shape (n_bins,)
        False for bins that balancing has masked or, without weights, that have no contact.
    """

    observed: sparse.csr_array
    expected: np.ndarray
    usable: np.ndarray


def open_contact_map(
    path: str | os.PathLike,
    peaks: pd.DataFrame,
    *,
    resolution_bp: int | None = None,
    assembly: str | None = None,
) -> ContactMap:
    """Open a map at one resolution and check that it is about the run's genome.

    Parameters
    ----------
    path : path
        A .cool, or an .mcool with several resolutions.
    peaks : DataFrame with chromosome, start, end
    resolution_bp : int, optional
        By default the only one of a .cool, and of an .mcool the one closest to 10 kb.
    assembly : str, optional
        The run's, ``input.assembly``.

    Raises
    ------
    InputError
        No contact map, a resolution that it does not have, no chromosome in common with the peaks, or
        chromosomes of other sizes than the run's.
    """
    where = f"contacts.map ({path})"
    if not os.path.isfile(path):
        raise InputError(f"{where}: file not found; check its path")
    try:
        opened = _open(path, resolution_bp, where)
        names, sizes_bp = list(map(str, opened.chromnames)), list(map(int, opened.chromsizes))
        is_balanced = "weight" in opened.bins().columns
    except InputError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise InputError(
            f"{where}: the file is damaged ({type(error).__name__}: {str(error)[:200]}); download or copy it again"
        ) from None
    if not names or len(names) != len(set(names)) or min(sizes_bp) <= 0:
        raise InputError(f"{where}: its chromosomes have no names, or no sizes; download or copy it again")
    try:
        renamed, _ = harmonise_chromosomes(pd.DataFrame({"chromosome": names}), peaks)
    except InputError:
        raise InputError(
            f"{where}: no chromosome in common with the peaks: the map has {listing(names, 4)}, peaks lie on "
            f"{listing(pd.unique(peaks['chromosome']), 4)}; use a map of the peaks' assembly"
        ) from None
    found = ContactMap(opened, dict(zip(renamed["chromosome"], names, strict=True)), is_balanced)
    _check_assembly(found, peaks, assembly, where)
    log.info("%s: resolution %d bp, %s", where, found.resolution_bp, describe_values(found))
    if not found.is_balanced:
        log.warning(
            "%s: the map has no balancing weights, so raw counts are used; run `cooler balance` on it", where
        )
    return found


def describe_values(contacts: ContactMap) -> str:
    """What the numbers of the map are."""
    return "balanced contacts" if contacts.is_balanced else "raw contact counts"


def _open(path, resolution_bp: int | None, where: str) -> "cooler.Cooler":
    """The map of one resolution."""
    import cooler
    import h5py

    try:
        groups = cooler.fileops.list_coolers(str(path)) if h5py.is_hdf5(path) else []
        groups = [group for group in groups if group == "/" or group.startswith("/resolutions/")]
        maps = [cooler.Cooler(f"{path}::{group}") for group in groups]
    except (OSError, KeyError) as error:
        raise InputError(f"{where}: the file cannot be read ({error}); download or copy it again") from None
    if not maps:
        raise InputError(
            f"{where}: this is no contact map; expected a .cool or .mcool file (a .hic file has to be converted "
            "first, for example by `hictk convert`)"
        )
    if any(one.binsize is None for one in maps):
        raise InputError(f"{where}: its bins differ in size; expected a map with bins of one size")
    available = {int(one.binsize): one for one in maps}
    if resolution_bp is None:
        resolution_bp = min(available, key=lambda size: (abs(np.log(size / PREFERRED_RESOLUTION_BP)), size))
    if resolution_bp not in available:
        raise InputError(
            f"{where}: contacts.resolution_bp {resolution_bp} is not among its resolutions; it has: "
            f"{listing(sorted(available), 20)}"
        )
    return available[resolution_bp]


def _check_assembly(contacts: ContactMap, peaks: pd.DataFrame, assembly: str | None, where: str) -> None:
    """Refuse a map whose chromosomes are not those of the peaks."""
    said = str(contacts.cooler.info.get("genome-assembly", ""))
    said = said if assembly_name(said) in CHROMOSOME_SIZES else None
    known = agree_on_assembly({"input.assembly": assembly, where: said})
    sizes = {name: contacts.size_bp(name) for name in contacts.name_of}
    sizes_of_known = CHROMOSOME_SIZES.get(assembly_name(known or ""), {})
    for name, size in sizes.items():
        expected = sizes_of_known.get(bare_chromosome(name), size)
        if size != expected and bare_chromosome(name) != "M":  # hg19 comes with either of two mitochondria
            raise InputError(
                f"{where}: its {contacts.name_of[name]} has {size:,} bp, but that of {known} has {expected:,} "
                "bp: the map is of another assembly; use one of the peaks' assembly"
            )
    beyond = peaks["end"].to_numpy() > peaks["chromosome"].map(sizes).to_numpy(float, na_value=np.inf)
    if beyond.any():
        example = peaks[beyond].iloc[0]
        raise InputError(
            f"{where}: {int(beyond.sum())} of {len(peaks)} peaks lie beyond the end of their chromosome in the "
            f"map (e.g. {example['chromosome']}:{example['start']}-{example['end']}, chromosome size "
            f"{sizes[example['chromosome']]}): the map is of another assembly; use one of the peaks' assembly"
        )


def contacts_of_bins(contacts: ContactMap, chromosome: str, bins: np.ndarray) -> BinContacts:
    """Contacts of chosen bins with their chromosome, and the contact expected at each distance.

    One pass through the chromosome's pixels; at no time are more than :data:`PIXELS_PER_CHUNK` of them in memory.
    `chromosome`: its name in the run. `bins`, shape (n_chosen,): numbers of different bins, counted from its first.
    """
    first, last = contacts.cooler.extent(contacts.name_of[chromosome])
    n_bins = last - first
    with contacts.cooler.open("r") as file:
        start, stop = (int(file["indexes/bin1_offset"][bin_]) for bin_ in (first, last))
    weight = np.ones(n_bins)
    if contacts.is_balanced:
        weight = contacts.cooler.bins()["weight"].fetch(contacts.name_of[chromosome]).to_numpy(float)
    coverage, by_distance = np.zeros(n_bins), np.zeros(n_bins)
    row_of_bin = np.full(n_bins, -1)
    row_of_bin[bins] = np.arange(len(bins))
    found = []
    for begin in range(start, stop, PIXELS_PER_CHUNK):
        chunk = contacts.cooler.pixels()[begin : min(begin + PIXELS_PER_CHUNK, stop)]
        one, two = (chunk[name].to_numpy() - first for name in ("bin1_id", "bin2_id"))
        within = (two >= one) & (two < n_bins)
        one, two = one[within], two[within]
        value = np.nan_to_num(chunk["count"].to_numpy(float)[within] * weight[one] * weight[two])
        coverage += np.bincount(one, value, n_bins) + np.bincount(two, value, n_bins)
        by_distance += np.bincount(two - one, value, n_bins)
        for near, far in ((one, two), (two, one)):
            chosen = row_of_bin[near] >= 0
            if near is two:
                chosen &= one != two
            found.append((value[chosen], row_of_bin[near[chosen]], far[chosen]))
    value, row, column = map(np.concatenate, zip(*found, strict=True)) if found else ([], [], [])
    usable = np.isfinite(weight) if contacts.is_balanced else coverage > 0
    n_pairs = np.rint(correlate(usable.astype(float), usable.astype(float), method="fft")[n_bins - 1 :])
    return BinContacts(
        observed=sparse.csr_array((value, (row, column)), shape=(len(bins), n_bins)),
        expected=np.divide(by_distance, n_pairs, out=np.full(n_bins, np.nan), where=n_pairs > 0),
        usable=usable,
    )


def contacts_of_region(
    contacts: ContactMap, chromosome: str, low: int, high: int, max_bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """All contacts within one region, coarse enough to be drawn.

    Parameters
    ----------
    chromosome : str
        Its name in the run.
    low, high : int
        The region, 0-based half-open; what lies beyond the chromosome's end is left out.
    max_bins : int
        With more bins than that, as many neighbours as needed are averaged.

    Returns
    -------
    ndarray, shape (n_bins, n_bins)
        NaN where a bin is masked.
    edges : ndarray of int, shape (n_bins + 1,)
        In bp.
    """
    size, resolution = contacts.size_bp(chromosome), contacts.resolution_bp
    first, last = low // resolution, -(-min(high, size) // resolution)
    n_joined = -(-(last - first) // max_bins)
    n_coarse = -(-(last - first) // n_joined)
    n_strip = n_joined * max(1, CELLS_PER_STRIP // (n_joined * (last - first)))
    name = contacts.name_of[chromosome]
    columns = (name, first * resolution, min(last * resolution, size))
    matrix = contacts.cooler.matrix(balance=contacts.is_balanced)
    edges = np.arange(0, last - first, n_joined)
    total, n_known = np.zeros((n_coarse, n_coarse)), np.zeros((n_coarse, n_coarse))
    for begin in range(first, last, n_strip):
        rows = (name, begin * resolution, min((begin + n_strip) * resolution, columns[2]))
        strip = matrix.fetch(rows, columns).astype(float)
        at = (begin - first) // n_joined
        for values, sums in ((np.nan_to_num(strip), total), (np.isfinite(strip).astype(float), n_known)):
            joined = np.add.reduceat(values, np.arange(0, len(values), n_joined), axis=0)
            sums[at : at + len(joined)] = np.add.reduceat(joined, edges, axis=1)
    coarse = np.divide(total, n_known, out=np.full_like(total, np.nan), where=n_known > 0)
    edges = np.append((first + edges) * resolution, columns[2])
    return coarse, edges
