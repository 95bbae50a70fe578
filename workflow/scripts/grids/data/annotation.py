"""Gene annotations: GTF, GFF3 and BED in their dialects, read into one table, and the genes of RNA data in it."""

import os
import re
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from grids.data.chromosomes import bare_chromosome, is_main_chromosome, sort_order
from grids.data.gene_gtf import is_gtf, read_gtf
from grids.data.gene_lines import Lines, header_of, is_integer, read_bed, split
from grids.io.errors import InputError, listing
from grids.io.names import check_names

GENE_COLUMNS = ["gene", "chromosome", "start", "end", "strand", "tss", "exon_starts", "exon_ends"]
NEAR_BP = 1_000_000  # rows of one gene closer than this are one place

# An id as files decorate it: ``gene:`` before it (GFF3), its version after it. Names of clones (AC012345.1,
# CAAA01118383.1) end in a number that is no version, and so do ids like MSTRG.12.
_DECORATED = re.compile(
    r"(?:[Gg]ene[:-])?(?!(?!ENS)(?:[A-Z]{1,2}[0-9]{5,6}|[A-Z]{4}[0-9]{8})\.)([A-Za-z_]+[0-9]\w*?)(?:\.[0-9]+)?(_PAR_Y)?"
)


def read_genes(path: str | os.PathLike) -> pd.DataFrame:
    """Read genes from a GTF, GFF3 or BED file, gzipped or not.

    Rows with the same name and id that lie on one strand less than 1 Mb apart become one. A name may stand
    for several rows; :func:`match_genes` decides which of them is meant.

    Parameters
    ----------
    path : path
        The dialect and the compression are told from the content. A GTF without ``gene`` lines is read
        from its transcripts and exons. A BED file needs a name column; a header line (``#chr start end
        name ...``) may name the columns, in any order.

    Returns
    -------
    DataFrame with columns gene, chromosome, start, end, strand, tss, exon_starts, exon_ends, gene_id,
        gene_type. By position; 0-based half-open. tss is the position of the most 5' base (`start` when the
        strand is "+" or "."; `end` - 1 when "-"). Exons of all transcripts are merged and written as
        comma-separated lists, empty when unknown.

    Raises
    ------
    InputError
        Not an annotation, empty, truncated, or a line with impossible coordinates or a strand that is none
        (its number is told).
    """
    rows, exons = _read(path)
    table = pd.DataFrame(
        rows, columns=["gene", "chromosome", "start", "end", "strand", "gene_id", "gene_type"]
    )
    if table.empty:
        raise InputError(f"{path}: no gene in this file, only a header")
    for column in ("gene", "chromosome", "gene_id"):
        check_names(table[column].unique(), f"{path}: {column} names")
    genes = _one_row_per_place(table)
    genes["tss"] = np.where(genes.strand == "-", genes.end - 1, genes.start)
    merged = [
        _merge_exons([exons.get((gene.gene_id, gene.chromosome), ())], gene.start, gene.end)
        for gene in genes.itertuples()
    ]
    genes["exon_starts"], genes["exon_ends"] = zip(*merged, strict=True)
    return genes[[*GENE_COLUMNS, "gene_id", "gene_type"]]


def _read(path: str | os.PathLike) -> tuple[list[list], dict[tuple, array]]:
    """Rows and exons, by the reader of the file's format."""
    lines = Lines(path)
    first = next((split(line) for line in lines), None)
    if first is None:
        raise InputError(f"{path}: no annotation in this file: it is empty or holds only comments")
    is_bed = len(first) >= 3 and is_integer(first[1]) and is_integer(first[2])
    if lines.header or is_bed or header_of(first):
        return read_bed(Lines(path))
    if is_gtf(first):
        return read_gtf(Lines(path))
    shown = b" | ".join(first)[:60].decode(errors="replace")
    raise InputError(
        f"{path}, line {lines.number}: neither GTF/GFF3 (9 tab-separated columns: chromosome, source, feature, start, "
        f"end, score, strand, frame, attributes) nor BED (chromosome, start, end, name): {shown}"
    )


def _one_row_per_place(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of one gene that lie near each other on one strand, merged; by position."""
    rows = rows.iloc[sort_order(rows)].reset_index(drop=True)
    gene = [rows[column] for column in ("gene", "gene_id", "chromosome", "strand")]
    reach = rows.end.groupby(gene, sort=False).cummax().groupby(gene, sort=False).shift()
    place = (rows.start - reach >= NEAR_BP).groupby(gene, sort=False).cumsum().rename("place")
    rows["coding"] = _is_coding(rows)
    rows["position"] = rows.index
    # Protein-coding rows first, so that `first` takes their type.
    rows = rows.sort_values("coding", ascending=False, kind="stable")
    places = rows.groupby([*(rows[column.name] for column in gene), place], sort=False)
    merged = places.agg({"start": "min", "end": "max", "gene_type": "first", "position": "min"})
    return merged.reset_index().sort_values("position", ignore_index=True)


def _is_coding(genes: pd.DataFrame) -> pd.Series:
    return genes.gene_type.str.replace("-", "_").str.casefold() == "protein_coding"


def _merge_exons(exons: Iterable[Sequence[int]], start: int, end: int) -> tuple[str, str]:
    """Union of the exons (start, end, start, end, ...) that lie within the gene, as two comma-separated lists."""
    spans = sorted({(a[i], a[i + 1]) for a in exons for i in range(0, len(a), 2)})
    starts: list[int] = []
    ends: list[int] = []
    for first, last in spans:
        if first < start or last > end:
            continue
        if ends and first <= ends[-1]:
            ends[-1] = max(ends[-1], last)
        else:
            starts.append(first)
            ends.append(last)
    return ",".join(map(str, starts)), ",".join(map(str, ends))


@dataclass(frozen=True)
class Match:
    """An annotation in which every gene has one name, those of the RNA data their own.

    Attributes
    ----------
    found : DataFrame
        Rows of the annotation, one per RNA gene found, in the order of the RNA data; column gene holds its name there.
    others : DataFrame
        The rest of the annotation: under the annotation's name where that is at one place and no RNA gene's,
        otherwise under the id.
    ambiguous : dict of str to str
        RNA genes that may be at several places, and these places. They are not in `found`.
    n_nameless : int
        Places that are in neither table, because neither their name nor their id is theirs alone.
    """

    found: pd.DataFrame
    others: pd.DataFrame
    ambiguous: dict[str, str]
    n_nameless: int


def match_genes(
    genes: pd.DataFrame,
    names: Sequence[str],
    ids: Sequence[str] | None = None,
    contigs: Collection[str] | None = None,
) -> Match:
    """Find the genes of an expression matrix in an annotation.

    A gene is looked up by its id, and by its name only if the annotation does not have the id; a place that
    one gene has by its id is no other gene's. Where a name or id stands at several places, the order of the
    file decides nothing: places on contigs without peaks do not count; protein-coding genes win over others;
    genes that overlap on one strand are one place; of the copies on X and Y, the pseudo-autosomal genes,
    that on X is taken. What is still at several places is not located.

    Parameters
    ----------
    genes : DataFrame
        As from :func:`read_genes`.
    names : sequence of str
        Gene names of the expression matrix, each once.
    ids : sequence of str, optional
        Their ids (Ensembl), same length. A version (".5") does not matter where the annotation has the id
        once. Names that are ids themselves are found too.
    contigs : collection of str, optional
        Chromosomes of the peaks. Places on other contigs than these do not count if there are more; those on
        chromosomes (1, 2, ..., X, Y, M) always do. None: all do.

    Raises
    ------
    InputError
        None is found.
    """
    names = list(map(str, names))
    index = _Index(genes, contigs)
    places = index.places_of(names, names if ids is None else list(map(str, ids)))
    if not places:
        raise InputError(
            f"none of the {len(names)} genes of the RNA data is in the annotation: the data have "
            f"{listing(names, 3) or 'none'}; the annotation has {listing(genes.gene[:3])} with ids "
            f"{listing(genes.gene_id[:3])}. Use an annotation of this species (input.genes), or set "
            "input.gene_name_key to the RNA column with gene names"
        )
    found = {name: rows[0] for name, rows in places.items() if len(rows) == 1}
    several = {name: listing(map(index.shown, rows), 5) for name, rows in places.items() if len(rows) > 1}
    used = {row for rows in found.values() for row in rows}
    others, n_nameless = index.named(set(range(len(genes))) - used, set(names))
    return Match(index.table(found), index.table(others), several, n_nameless)


Place = list[int]  # rows of the annotation that are one place


class _Index:
    """An annotation that is asked for places by name and by id."""

    def __init__(self, genes: pd.DataFrame, contigs: Collection[str] | None):
        self.genes = genes.reset_index(drop=True)
        self.names, self.ids = genes.gene.tolist(), genes.gene_id.tolist()
        self.by_name, self.by_id = (
            _grouped((value, row) for row, value in enumerate(values)) for values in (self.names, self.ids)
        )
        self.by_bare_id = {
            bare: self.by_id[ids[0]]
            for bare, ids in _grouped((_bare_id(identifier), identifier) for identifier in self.by_id).items()
            if len(ids) == 1
        }
        self.is_coding = _is_coding(genes).tolist()
        counts = {
            name: contigs is None or name in contigs or is_main_chromosome(name)
            for name in genes.chromosome.unique()
        }
        self.counts = genes.chromosome.map(counts).tolist()
        self.spans = list(zip(genes.chromosome, genes.strand, genes.start, genes.end, strict=True))

    def places_of(self, names: list[str], ids: list[str]) -> dict[str, list[Place]]:
        """The places that each gene may be at; genes that the annotation does not have are left out."""
        rows = {}
        for name, identifier in zip(names, ids, strict=True):
            # An id that is only the name again says no more than the name.
            if identifier != name and (of_id := self._rows_of_id(identifier)):
                rows[name] = of_id
        taken = {row for of_id in rows.values() for row in of_id}
        for name in names:
            if name not in rows:
                of_name = self.by_name.get(name) or self._rows_of_id(name)
                rows[name] = [row for row in of_name if row not in taken]
        return {name: self._places(rows[name]) for name in names if rows[name]}

    def _rows_of_id(self, identifier: str) -> list[int]:
        return self.by_id.get(identifier) or self.by_bare_id.get(_bare_id(identifier), [])

    def _places(self, rows: list[int]) -> list[Place]:
        """The places of rows with one name or id, less those that :func:`match_genes` rules out by their kind."""
        if len(rows) == 1:
            return [rows]
        for preferred in (self.counts, self.is_coding):
            rows = [row for row in rows if preferred[row]] or rows
        places: list[Place] = []
        reach = None
        for row in sorted(rows, key=lambda row: self.spans[row]):
            chromosome, strand, start, end = self.spans[row]
            if reach and reach[:2] == (chromosome, strand) and start < reach[2]:
                places[-1].append(row)
                reach = (chromosome, strand, max(end, reach[2]))
            else:
                places.append([row])
                reach = (chromosome, strand, end)
        sexes = [bare_chromosome(self.spans[place[0]][0]) for place in places]
        if sorted(sexes) == ["X", "Y"] and len({self.spans[place[0]][1] for place in places}) == 1:
            places = [places[sexes.index("X")]]
        return places

    def named(self, rows: set[int], taken: set[str]) -> tuple[dict[str, Place], int]:
        """Places of these rows by a name that none of `taken` and no other place has, and how many have none."""
        named: dict[str, Place] = {}
        for name, of_name in _grouped((self.names[row], row) for row in sorted(rows)).items():
            places = [] if name in taken else self._places(of_name)
            if len(places) == 1:
                named[name] = places[0]
        left = rows.difference(*named.values())
        n_nameless = 0
        for identifier, of_id in _grouped((self.ids[row], row) for row in sorted(left)).items():
            if len(of_id) == 1 and identifier not in named.keys() | taken | {self.names[of_id[0]]}:
                named[identifier] = of_id
            else:
                n_nameless += len(of_id)
        return named, n_nameless

    def table(self, places: dict[str, Place]) -> pd.DataFrame:
        """One row per place, with the columns of the annotation."""
        table = self.genes.iloc[[rows[0] for rows in places.values()]].reset_index(drop=True)
        for i, rows in enumerate(places.values()):
            if len(rows) > 1:
                for column, value in self._merged(rows).items():
                    table.loc[i, column] = value
        return table.assign(gene=pd.Series(list(places), dtype=object))

    def _merged(self, rows: Place) -> dict:
        """What differs from the first row where several are one place."""
        part = self.genes.iloc[rows]
        start, end = int(part.start.min()), int(part.end.max())
        exons = [
            [int(x) for span in zip(starts.split(","), ends.split(","), strict=True) for x in span]
            for starts, ends in zip(part.exon_starts, part.exon_ends, strict=True)
            if starts
        ]
        exon_starts, exon_ends = _merge_exons(exons, start, end)
        tss = end - 1 if part.strand.iloc[0] == "-" else start
        return {"start": start, "end": end, "tss": tss, "exon_starts": exon_starts, "exon_ends": exon_ends}

    def shown(self, rows: Place) -> str:
        part = self.genes.iloc[rows]
        first = part.iloc[0]
        known = f" ({first.gene_id})" if first.gene_id != first.gene else ""
        return f"{first.chromosome}:{part.start.min()}-{part.end.max()}{known}"


def _grouped(pairs: Iterable[tuple]) -> dict:
    groups: dict = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return groups


def _bare_id(identifier: str) -> str:
    """``gene:ENSG00000000003.15`` -> ``ENSG00000000003``."""
    match = _DECORATED.fullmatch(identifier)
    return match[1] + (match[2] or "") if match else identifier
