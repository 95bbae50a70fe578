"""Tables of evidence (CRISPRi, promoter-capture Hi-C, eQTL): BED, BEDPE and TSV, read into links.

A link joins an element, an interval of the genome, to a gene and says whether the assay saw the one act on the
other. Coordinates are 0-based half-open in all three formats; an eQTL at position p is ``p - 1, p``.
"""

import numpy as np
import pandas as pd

from grids.data.chromosomes import agree_on_assembly, fit_to_run, harmonise_chromosomes
from grids.data.coordinates import COORDINATES, MISSING, bed_rows, data_lines, fields_of, with_coordinates
from grids.data.intervals import overlapping
from grids.io.config import EvidenceTable, check_evidence
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log

LINK_COLUMNS = ["chromosome", "start", "end", "gene", "is_positive"]

# Column names of published tables, in lower case; of several that are present the first counts.
ALIASES = {
    "chromosome": ("chromosome", "chrom", "chr", "seqnames"),
    "start": ("start", "chromstart"),
    "end": ("end", "chromend", "stop"),
    "gene": ("gene", "measuredgenesymbol", "targetgene", "gene_symbol", "genesymbol", "gene_name"),
    "label": ("label", "is_positive", "regulated", "significant"),
}
# Columns of a file without a header, and how many of them there must be.
_COLUMNS = {
    "bed": (["chromosome", "start", "end", "gene", "score"], 4),
    "bedpe": (["chromosome", "start", "end", "chromosome_2", "start_2", "end_2", "name", "score"], 6),
}
_TRUTH = {
    **dict.fromkeys(("true", "t", "1", "yes", "positive"), True),
    **dict.fromkeys(("false", "f", "0", "no", "negative"), False),
}


def read_links(
    table: EvidenceTable,
    peaks: pd.DataFrame,
    genes: pd.DataFrame,
    *,
    run_assembly: str | None = None,
    promoter_upstream_bp: int = 1_000,
    promoter_downstream_bp: int = 100,
) -> pd.DataFrame:
    """Read one table of evidence, with the run's chromosome names and checked against its assembly.

    In a BED file the name is the gene; what follows a ``|`` in it is not read. In a BEDPE file each end is
    tried as the promoter: where it overlaps that of a gene, the other end is an element linked to the gene.
    In a TSV the columns have the names of :data:`ALIASES`, in upper or lower case.

    Parameters
    ----------
    peaks, genes : DataFrame
        The run's `chromosome start end`, and for genes `gene strand tss`; one dialect of chromosome names.
    run_assembly : str, optional
        What the run declares.
    promoter_upstream_bp, promoter_downstream_bp : int
        Reach of a promoter from the TSS, by strand; for BEDPE.

    Returns
    -------
    DataFrame with columns chromosome, start, end, gene, is_positive

    Raises
    ------
    InputError
        The file cannot be read as what it should be, or belongs to another assembly or annotation.
    """
    check_evidence([vars(table)], "evidence")
    where = f"evidence '{table.name}' ({table.path})"
    assembly = agree_on_assembly({"input.assembly": run_assembly, f"evidence '{table.name}'": table.assembly})
    if assembly is None:
        log.warning(
            "%s: neither its assembly nor input.assembly is given: that it fits the peaks could not be checked",
            where,
        )
    if table.kind == "tsv":
        rows = _read_tsv(table.path, where)
    else:
        columns, n_required = _COLUMNS[table.kind]
        rows = bed_rows(table.path, columns, n_required, where, f"a {table.kind} file of evidence")
    rows["is_positive"] = _is_positive(rows, table, where)
    links = _with_coordinates(rows, table.kind, where).dropna(subset="is_positive")
    n_used = links["line"].nunique()
    if len(links):
        links = fit_to_run(links, peaks, genes, assembly, where, "elements")
    if table.kind == "bedpe":
        links = _at_promoters(links, peaks, genes, (promoter_upstream_bp, promoter_downstream_bp), where)
    if links.empty:
        raise InputError(
            f"{where}: none of its {len(rows)} rows has coordinates, a gene and a value; check them"
        )
    _require_known_genes(links["gene"], genes["gene"], where)
    links = links[LINK_COLUMNS].astype({"is_positive": bool}).drop_duplicates(ignore_index=True)
    log.info(
        "%s: %d of %d rows have coordinates, a gene and a value; %d links of %d genes, %d of them positive",
        *(where, n_used, len(rows), len(links), links["gene"].nunique(), links["is_positive"].sum()),
    )
    return links


def _read_tsv(path, where: str) -> pd.DataFrame:
    """All columns as text, those with aliases under their canonical names; `line` numbers the rows."""
    lines = data_lines(path, where)
    header = fields_of(next(lines, (0, ""))[1].removeprefix("#"))
    if len(set(header)) < len(header):
        twice = next(column for i, column in enumerate(header) if column in header[:i])
        raise InputError(f"{where}: the header names column '{twice}' twice; rename or remove one of them")
    rows, numbers = [], []
    for number, line in lines:
        fields = fields_of(line)
        if len(fields) > len(header):
            raise InputError(
                f"{where}, line {number}: {len(fields)} fields under a header of {len(header)} columns"
            )
        rows.append(fields + [""] * (len(header) - len(fields)))
        numbers.append(number)
    table = pd.DataFrame(rows, columns=header, dtype=str).assign(line=numbers)
    present = {column.casefold(): column for column in reversed(header)}
    for wanted, spellings in ALIASES.items():
        found = next((present[spelling] for spelling in spellings if spelling in present), None)
        if found is not None:
            table[wanted] = table[found]
        elif wanted != "label":
            raise InputError(
                f"{where}: no column for the {wanted}; expected one of {', '.join(spellings)} (upper or lower "
                f"case), the header is: {listing(header) or 'empty'}"
            )
    return table


def _is_positive(rows: pd.DataFrame, table: EvidenceTable, where: str) -> pd.Series:
    """Whether each row is a positive link; missing where the file does not say."""
    is_label = table.score is None
    column = table.label or table.score or ("label" if "label" in rows else None)
    if column is None:
        return pd.Series(True, index=rows.index, dtype=object)
    if column not in rows:
        columns = rows.columns.drop("line")
        raise InputError(
            f"{where}: there is no column '{column}'.{did_you_mean(column, columns)} It has: {listing(columns)}"
        )
    text = rows[column].str.strip()
    said = ~text.isin(MISSING)
    if is_label:
        values, expected = text.str.casefold().map(_TRUTH), "TRUE or FALSE (1 or 0, yes or no)"
    else:
        values, expected = pd.to_numeric(text, errors="coerce"), "a number"
    if (odd := said & values.isna()).any():
        raise InputError(
            f"{where}, line {rows['line'][odd].iloc[0]}: column '{column}' holds '{text[odd].iloc[0]}'; "
            f"expected {expected}"
        )
    if not is_label:
        values = values >= table.at_least if table.at_least is not None else values <= table.at_most
    if not said.all():
        log.info("%s: %d rows say nothing in '%s' and are left out", where, int((~said).sum()), column)
    return values.astype(object).where(said)


def _with_coordinates(rows: pd.DataFrame, kind: str, where: str) -> pd.DataFrame:
    """Rows of a BEDPE file in both directions, or rows that name a gene."""
    if kind == "bedpe":
        swapped = {name: f"{name}_2" for name in COORDINATES} | {f"{name}_2": name for name in COORDINATES}
        both = pd.concat([rows, rows.rename(columns=swapped)], ignore_index=True)
        return with_coordinates(with_coordinates(both, where), where, "_2")
    if kind == "bed":
        rows = rows.assign(gene=rows["gene"].str.split("|").str[0].str.strip())
    return with_coordinates(rows[~rows["gene"].isin(MISSING)], where)


def _at_promoters(links, peaks, genes, reach_bp: tuple[int, int], where: str) -> pd.DataFrame:
    """Link the first end of each row to the genes whose promoter its other end overlaps."""
    upstream_bp, downstream_bp = reach_bp
    genes = genes[genes["tss"].notna()]
    tss, minus = genes["tss"].to_numpy(np.int64), (genes["strand"] == "-").to_numpy()
    promoters = pd.DataFrame(
        {
            "chromosome": genes["chromosome"].to_numpy(),
            "start": np.maximum(tss - np.where(minus, downstream_bp, upstream_bp), 0),
            "end": tss + np.where(minus, upstream_bp, downstream_bp) + 1,
        }
    )
    far = links[["chromosome_2", "start_2", "end_2"]].set_axis(promoters.columns, axis=1)
    if len(far):
        # Rows come in both directions: every name of the other ends is among those of the first.
        far, _ = harmonise_chromosomes(far, peaks)
    row, gene = overlapping(far, promoters)
    if not len(row):
        raise InputError(
            f"{where}: no end of its {links['line'].nunique()} rows overlaps the promoter of a gene; use a file "
            "of the annotation's assembly, with promoters at one end"
        )
    at_none = links["line"].nunique() - links["line"].iloc[row].nunique()
    if at_none:
        log.info("%s: %d rows touch no promoter and are left out", where, at_none)
    return links.iloc[row].assign(gene=genes["gene"].to_numpy()[gene])


def _require_known_genes(named: pd.Series, known: pd.Series, where: str) -> None:
    """Refuse genes of another annotation; log those that the annotation does not have."""
    unknown = pd.Index(pd.unique(named)).difference(pd.Index(known))
    if len(unknown) == named.nunique():
        raise InputError(
            f"{where}: none of its {len(unknown)} genes ({listing(unknown, 3)}) is in the annotation input.genes."
            f"{did_you_mean(unknown[0], known)} Name genes as the annotation does"
        )
    if len(unknown):
        log.warning("%s: %d genes are not in input.genes (%s)", where, len(unknown), listing(unknown, 5))
