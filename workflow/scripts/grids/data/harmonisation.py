"""Peaks, genes and tasks under one set of names: the annotation brought to the data, and the tasks to both."""

from collections.abc import Mapping

import pandas as pd

from grids.data.annotation import Match, match_genes, read_genes
from grids.data.chromosomes import (
    CHROMOSOME_SIZES,
    agree_on_assembly,
    check_assembly,
    harmonise_chromosomes,
    sort_order,
)
from grids.data.coordinates import parse_peaks
from grids.data.multiome import RawMultiome, gene_ids
from grids.data.raw_files import match_row
from grids.io.config_files import ALL_GENES
from grids.io.errors import InputError, did_you_mean, listing
from grids.io.logging import log


def harmonise(
    raw: RawMultiome, inputs: Mapping
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, list[dict]]:
    """Bring peaks and annotation together and count how well they fit.

    Returns
    -------
    peaks : DataFrame, one row per peak of the raw data
    genes : DataFrame, the whole annotation with the peaks' chromosome names and the RNA's gene names
    found : DataFrame, one row per RNA gene, missing values where the annotation does not have it; column places
        tells the places of those that are at several
    report : list of dict
    """
    if not inputs.get("genes"):
        raise InputError("input.genes is missing; give the path or URL of a GTF or BED file with the genes")
    var, key, coordinates = raw.atac.var, inputs.get("peak_name_key"), inputs.get("peak_coordinates")
    peaks = parse_peaks(var.index, var, key, raw.atac.where, coordinates)
    genes, matches = harmonise_chromosomes(read_genes(inputs["genes"]), peaks)
    declared, of_data = inputs.get("assembly"), raw.atac.assembly or raw.rna.assembly
    assembly = agree_on_assembly({"input.assembly": declared, raw.atac.where: of_data})
    if not declared and assembly not in CHROMOSOME_SIZES:
        assembly = None  # a file may name an assembly whose chromosome sizes are not known here
    for warning in check_assembly(peaks, genes, assembly):
        log.warning("%s and input.genes: %s", raw.atac.where, warning)
    names = raw.rna.var.index
    match = match_genes(genes, names, gene_ids(raw.rna.var), set(peaks["chromosome"].astype(str)))
    found = (
        match.found.set_index("gene").reindex(names).astype(dict.fromkeys(["start", "end", "tss"], "Int64"))
    )
    found["places"] = pd.Series(match.ambiguous, dtype=object).reindex(names)
    report = [*raw.harmonisation, *matches.to_dict("records"), *_judge_annotation(genes, match, len(names))]
    genes = pd.concat([match.found, match.others], ignore_index=True)
    genes = genes.iloc[sort_order(genes)].reset_index(drop=True)
    return peaks, genes, found, report


def _judge_annotation(genes: pd.DataFrame, match: Match, n_rna: int) -> list[dict]:
    """Rows on how well the annotation says where genes are; what it leaves open is also told in the log."""
    n_found, n_ambiguous = len(match.found), len(match.ambiguous)
    n_kept = n_found + len(match.others)
    unknown = genes["strand"] == "."
    if unknown.any():
        log.warning(
            "input.genes: %d of %d genes have no strand (e.g. %s): their start site is taken to be the start of "
            "their interval, which is wrong for genes on the minus strand",
            unknown.sum(), len(genes), listing(genes["gene"][unknown], 3),
        )  # fmt: skip
    if n_ambiguous:
        log.warning(
            "input.genes: %d genes of the RNA data are at several places in the annotation and are taken as not "
            "located (e.g. %s: %s); ids in a column gene_ids of the RNA's var tell which one is meant",
            n_ambiguous, *next(iter(match.ambiguous.items())),
        )  # fmt: skip
    counts = [
        ("annotated genes with a strand", len(genes), len(genes) - unknown.sum()),
        ("annotated places under a name of their own", n_kept + match.n_nameless, n_kept),
        ("RNA genes in the annotation", n_rna, n_found + n_ambiguous),
        ("RNA genes of the annotation at one place", n_found + n_ambiguous, n_found),
    ]
    return [match_row(*row) for row in counts]


def named_tasks(asked: Mapping, raw: RawMultiome, found: pd.DataFrame, source: str) -> pd.DataFrame:
    """The tasks that name a gene, as a table; every gene has to be in the RNA and in the annotation."""
    pairs = [(t, str(g)) for t, genes in asked.items() if genes != ALL_GENES for g in genes]
    known = raw.rna.var.index
    problems = []
    for gene in dict.fromkeys(gene for _, gene in pairs):
        if gene not in known:
            problems.append(
                f"{source}: tasks: gene '{gene}' is not in the RNA data of {raw.rna.where}.{did_you_mean(gene, known)} "
                "(names come from var_names; set input.gene_name_key to use another column)"
            )
        elif pd.notna(found.at[gene, "places"]):
            problems.append(
                f"{source}: tasks: gene '{gene}' is at several places in the annotation input.genes: "
                f"{found.at[gene, 'places']}; give the RNA data a column gene_ids of var with the annotation's "
                "ids, which tell one from the other, or take the gene out of the tasks"
            )
        elif pd.isna(found.at[gene, "chromosome"]):
            problems.append(
                f"{source}: tasks: gene '{gene}' is in the RNA data but not in the annotation input.genes; "
                "use an annotation that has it under this name, or take it out of the tasks"
            )
    if problems:
        raise InputError(*problems)
    return pd.DataFrame(pairs, columns=["cell_type", "gene"]).drop_duplicates(ignore_index=True)


def with_all_genes(tasks: pd.DataFrame, asked: Mapping, genes: pd.DataFrame) -> pd.DataFrame:
    """The tasks, with every kept gene of the annotation for the types that ask for all, in the config's order."""
    annotated = genes.index[genes["chromosome"].notna()]
    parts = [
        pd.DataFrame({"cell_type": cell_type, "gene": annotated})
        if wanted == ALL_GENES
        else tasks[tasks["cell_type"] == cell_type]
        for cell_type, wanted in asked.items()
    ]
    return pd.concat([tasks.iloc[:0], *parts], ignore_index=True)
