"""Every parser of the library: what to feed it, and what has to hold for what it accepts."""
# ruff: noqa: E402 (imports follow the path that leads to them)

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from documents import ODD_TEXT, damaged, finished, from_random, hdf5, tables
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("workflow/scripts", "workflow", "tests/unit")]

from grids.analysis.atlas import read_gene_classes
from grids.analysis.contacts.contact_map import open_contact_map
from grids.analysis.contacts.tads import read_tads
from grids.analysis.evidence.links import read_links
from grids.analysis.states import divide
from grids.data.annotation import match_genes, read_genes
from grids.data.cell_types import read_markers
from grids.data.chromosomes import sort_order
from grids.data.coordinates import parse_peaks
from grids.data.multiome import read_raw
from grids.io import config as configs
from grids.io import config_files
from grids.io.cells import read_multiome
from grids.io.config import EvidenceTable
from grids.io.config_files import read_tasks
from grids.io.config_schema import check_duplicates, read_text_values
from grids.io.errors import InputError
from grids.io.names import escape
from grids.search.sets import read_given
from grids.surrogates import storage

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text())
PEAKS = pd.DataFrame({"chromosome": ["chr1", "chr2", "chrM"], "start": [100, 100, 5], "end": [900, 300, 60]})
GENES = pd.DataFrame(
    {"gene": ["AAA", "BBB"], "chromosome": ["chr1", "chr2"], "start": [100, 100], "end": [900, 300],
     "strand": ["+", "-"], "tss": [100, 299]}
)  # fmt: skip


@dataclass(frozen=True)
class Parser:
    """What is fuzzed.

    Attributes
    ----------
    inputs : SearchStrategy
    parse : callable of (input, folder)
        Ends, raises an InputError, or fails an assertion about what it accepted.
    """

    inputs: st.SearchStrategy
    parse: Callable


def _written(name: str, parse: Callable) -> Callable:
    """A parser of files: the input's bytes are put into the folder under this name first."""

    def run(content, folder: Path):
        path = folder / name
        path.write_bytes(content)
        parse(path)

    return run


def _intervals(table: pd.DataFrame) -> None:
    """Whole numbers within a genome, and no chromosome that would break a line."""
    assert table["start"].dtype == table["end"].dtype == np.int64
    assert ((table["start"] >= 0) & (table["start"] < table["end"]) & (table["end"] <= 10**12)).all()
    assert not table["chromosome"].astype(str).str.contains(r"[\t\n\r]").any()


# Text


def _genes(path: Path) -> None:
    genes = read_genes(path)
    _intervals(genes)
    assert len(genes) and genes["gene"].str.len().gt(0).all() and genes["strand"].isin(["+", "-", "."]).all()
    assert ((genes["tss"] >= genes["start"]) & (genes["tss"] < genes["end"])).all()
    assert sorted(sort_order(genes)) == list(range(len(genes)))
    match = match_genes(genes, ["none", genes["gene"].iloc[0]], contigs=["chr1"])
    assert len(match.found) + len(match.ambiguous) == 1
    assert pd.concat([match.found, match.others])["gene"].is_unique
    for starts, ends in zip(genes["exon_starts"], genes["exon_ends"], strict=True):
        assert len(starts.split(",")) == len(ends.split(","))


GTF = [
    b'chr1\thavana\tgene\t101\t900\t.\t+\t.\tgene_id "ENSG1.2"; gene_name "AAA"; gene_type "protein_coding"',
    b'chr1\thavana\ttranscript\t101\t900\t.\t+\t.\tgene_id "ENSG1.2"; transcript_id "T1"; gene_name "AAA"',
    b'chr1\thavana\texon\t101\t300\t.\t+\t.\tgene_id "ENSG1.2"; transcript_id "T1"',
    b'chr2\thavana\texon\t101\t300\t.\t-\t.\tgene_id "ENSG2"; transcript_id "T2"; gene_name "BBB"',
    b'chr2\thavana\tCDS\t101\t300\t.\t-\t0\tgene_id "ENSG2"',
    b"#!genome-build GRCh38",
]
GFF3 = [
    b"##gff-version 3",
    b"1\tensembl\tgene\t101\t900\t.\t+\t.\tID=gene:ENSG1;Name=AAA;biotype=protein_coding;gene_id=ENSG1",
    b"1\tensembl\tmRNA\t101\t900\t.\t+\t.\tID=transcript:T1;Parent=gene:ENSG1",
    b"1\tensembl\texon\t101\t300\t.\t+\t.\tParent=transcript:T1",
    b"2\tensembl\tncRNA_gene\t5\t60\t.\t-\t.\tID=gene:ENSG2",
    b"2\tensembl\texon\t5\t60\t.\t-\t.\tParent=transcript:T7",
]
BED = [
    b"chr1\t100\t900\tAAA\t0\t+",
    b"chr2\t100\t300\tBBB\t0\t-",
    b"chr1\t5000000\t5000009\tAAA\t.\t.",
    b"chr1\t100\t900\tCCC\t0\t+\t100\t900\t0\t2\t10,20\t0,780",
    b"#chrom\tstart\tend\tname\tscore\tstrand\tgene_id\tgene_type",
    b"track name=x",
]


def _links(suffix: str, **options) -> Callable:
    def parse(path: Path) -> None:
        table = EvidenceTable("x", path, format=suffix, **options)
        links = read_links(table, PEAKS, GENES, run_assembly="hg38")
        _intervals(links)
        assert len(links) and links["is_positive"].dtype == bool and links["gene"].str.len().gt(0).all()

    return _written(f"links.{suffix}", parse)


LINKS_BED = [b"chr1\t100\t900\tAAA|score\t5", b"chr2\t5\t60\tBBB\t-1", b"#chr\tstart\tend\tgene"]
LINKS_BEDPE = [
    b"chr1\t50\t200\tchr1\t500\t700\tlink\t7",
    b"chr2\t10\t20\tchr2\t200\t300\t.\t.",
    b"chr1\t1\t2\tchr2\t3\t4",
    b"chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore",
]
LINKS_TSV = [
    b"chr\tstart\tend\tgene\tlabel\tscore",
    b"chr1\t100\t900\tAAA\tTRUE\t3",
    b"2\t1e2\t300\tBBB\t0\tNA",
]


def _tasks(path: Path) -> None:
    tasks = read_tasks(str(path), "study.yaml")
    assert tasks and all(genes and len(set(genes)) == len(genes) for genes in tasks.values())
    names = [*tasks, *(gene for genes in tasks.values() for gene in genes)]
    assert all(name and "\t" not in name and "\n" not in name for name in names)


def _markers(path: Path) -> None:
    markers = read_markers(path)
    assert len(markers) and markers.notna().all(axis=None)


def _classes(path: Path) -> None:
    assert read_gene_classes(path, pd.Series(["AAA", "BBB"]))["gene"].isin(["AAA", "BBB"]).any()


# Names, columns, addresses


@st.composite
def _peak_tables(draw):
    """Names and columns of peaks, nearly right."""
    piece = st.sampled_from(["chr1", "1", "chrUn_KI2v1", *ODD_TEXT]) | st.text(max_size=4)
    number = st.sampled_from(["0", "5", "900", "-3", "1e3", *ODD_TEXT]) | st.integers(-5, 10**13).map(str)
    name = st.tuples(piece, st.sampled_from(":-_ "), number, st.sampled_from("-_ "), number).map("".join)
    right = st.integers(0, 99).map(lambda i: f"chr1:{i * 100}-{i * 100 + 90}")
    names = draw(
        st.lists(right, min_size=1, max_size=6, unique=True) | st.lists(name | right, min_size=1, max_size=3)
    )
    value = st.one_of(number, st.integers(), st.floats(), st.none(), st.booleans())
    values = st.lists(value, min_size=len(names), max_size=len(names))
    columns = draw(
        st.sets(st.sampled_from(["chrom", "Start", "end", "seqnames", "stop", "interval", "start", "x"]))
    )
    var = pd.DataFrame(
        {c: pd.Series(draw(values), dtype=object) for c in sorted(columns)}, index=range(len(names))
    )
    return names, var, draw(st.sampled_from([None, None, "x", "interval"]))


def _peaks(value, _) -> None:
    names, var, key = value
    _intervals(parse_peaks(names, var, key, "cells.h5mu").astype({"chromosome": str}))


def _name(name: str, folder: Path) -> None:
    escaped = escape(name)
    assert 0 < len(escaped.encode()) <= 80 and set("/\\\0'\"`$;&|<>(){}* \n") & set(escaped) == set()
    path = folder / escaped
    path.write_text("")
    assert path.parent.resolve() == folder.resolve() == path.resolve().parent
    path.unlink()


def _states(value, _) -> None:
    values, bins = value
    state = divide(pd.Series(values, name="state"), bins)
    assert len(state.codes) == len(values) and state.codes.max(initial=-1) < max(len(state.levels), 1)


STATES = st.tuples(
    st.lists(st.floats(), max_size=30)
    | st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30)
    | st.lists(st.sampled_from(ODD_TEXT) | st.none(), max_size=30)
    | st.lists(st.booleans() | st.none(), max_size=30),
    st.sampled_from([None, 2, 5]),
)

ADDRESSES = st.sampled_from(["http", "https", "ftp", "file", "s3", "", "HTTP"]).flatmap(
    lambda scheme: (
        st.sampled_from([*ODD_TEXT, "e.org/a.h5", "[::1]/x", "[/x", "e.org:99999/x"]) | st.text()
    ).map(lambda rest: f"{scheme}://{rest}")
)


def _address(url: str, _) -> None:
    config = {"input": {"multiome": url, "genes": "genes.gtf"}, "tasks": {"A": ["B"]}}
    configs.check(config, SCHEMA, "study.yaml")
    for name in config_files.downloads(config["input"]):
        assert name == escape(name)


# The config

STUDY = """run: study
seed: 1
input: {multiome: cells.h5mu, genes: genes.gtf.gz, cell_type_key: cell_type, paired: true}
tasks: {Oligo: [MOBP, MOG], 3: all}
search: {set_size: 5, candidates: 32, direction: silence}
states: [{key: time, bins: 5}]
evidence: [{name: eQTL, path: a.tsv, score: pip, at_least: 0.5}]
preprocessing: {split: {train: 0.7, validation: 0.1, test: 0.2}}
"""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(ODD_TEXT) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def _paths(schema: dict, path: tuple = ()):
    """The keys of a schema, each as the path that leads to it."""
    for key, entry in schema.get("properties", {}).items():
        yield (*path, key)
        yield from _paths(entry, (*path, key))


PATHS = list(_paths(SCHEMA))


@st.composite
def _configs(draw):
    """YAML: a study with some values replaced, or with its text spoiled."""
    config = yaml.safe_load(STUDY)
    for _ in range(draw(st.integers(0, 3))):
        *parents, key = draw(st.sampled_from(PATHS))
        place = config
        for parent in parents:
            inner = place.get(parent)
            place[parent] = inner = inner if isinstance(inner, dict) else {}
            place = inner
        place[key if draw(st.integers(0, 9)) else draw(st.text(max_size=5))] = draw(VALUES)
    for key in draw(st.sets(st.sampled_from(sorted(config, key=str)), max_size=1)):
        del config[key]
    text = (
        yaml.safe_dump(config, allow_unicode=draw(st.booleans()), sort_keys=False)
        if draw(st.booleans())
        else STUDY
    )
    content = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 2)) == 0:
        lines = content.split(b"\n")
        odd = [
            b"x: &a [*a]", b"? [a]\n: b", b"<<: *x", b"- a", b"\tx: 1", b"x: !!python/object/apply:os.system [ls]",
            b"x: !!binary aa", b"x: 2024-13-45", b"x: 0o9", b"1: 2", b"run: b", b"...", b"---", b"%YAML 9.9",
        ]  # fmt: skip
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(odd)))
        content = b"\n".join(lines)
    return finished(content, draw(st.randoms(use_true_random=True)))


def _config(path: Path) -> None:
    check_duplicates(path)
    config = yaml.safe_load(path.read_text(encoding="utf-8-sig"))  # as Snakemake does
    config.update(read_text_values(config, SCHEMA))
    configs.check(config, SCHEMA, path.name)
    assert config.get("run", "run").isascii() and len(config.get("run", "run")) <= 100
    read_tasks(config.get("tasks", {}) if isinstance(config.get("tasks", {}), dict) else {}, path.name)
    config_files.downloads(config.get("input", {}))
    with contextlib.suppress(InputError):  # the files of the study are not there
        config_files.check_files(config, SCHEMA, path.name, ["human_brain"])


# HDF5


@cache
def whole(kind: str) -> bytes:
    """A small valid file of each kind."""
    import builders
    import contact_maps
    import models
    from anndata.io import write_elem

    rna, atac = builders.multiome(n_cells=18)
    rna, atac = rna[:, :8].copy(), atac[:, :8].copy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "whole")
        if kind == "h5mu":
            builders.write_h5mu(path, rna, atac)
        elif kind == "preprocessed":
            for part in (rna, atac):
                part.obs["split"] = "train"
            builders.write_h5mu(path, rna, atac)
            with builders.edited(path) as file:
                write_elem(file, "uns/grids", {"paired": True})
        elif kind == "10x":
            builders.write_10x(path, rna, atac, other="Antibody Capture")
        elif kind == "cool":
            sizes = {"chr1": 20_000, "chr2": 10_000}
            path = contact_maps.write_cool(
                path.with_suffix(".cool"), contact_maps.dense_counts(sizes, 1_000), sizes, 1_000, weight=1.0
            )
        elif kind in ("rna", "atac"):
            builders.write_h5ad(path, rna if kind == "rna" else atac)
        else:
            model = models.small_window_surrogate() if kind == "window" else models.random_surrogate(kind)
            storage.save(model, path, seed=1)
        return path.read_bytes()


def _spoiled(kind: str) -> st.SearchStrategy:
    return from_random(lambda rng: hdf5(whole(kind), rng))


def _raw(**source) -> None:
    raw = read_raw(source)
    for part in (raw.rna, raw.atac):
        assert part.X.shape == (len(part.obs), len(part.var)) and part.X.nnz
        part.X.check_format(full_check=True)
        assert np.isfinite(part.X.data).all() and (part.X.data > 0).all()
        assert part.obs.index.is_unique and part.var.index.is_unique
        labels = part.obs.get("cell_type", pd.Series(dtype=object))
        assert not labels.dropna().astype(str).str.contains(r"[\t\n]|^$").any()
    assert not raw.paired or raw.rna.obs.index.equals(raw.atac.obs.index)
    _intervals(parse_peaks(raw.atac.var.index, raw.atac.var))


def _h5ad(content: bytes, folder: Path) -> None:
    (folder / "rna.h5ad").write_bytes(content)
    (folder / "atac.h5ad").write_bytes(whole("atac"))
    _raw(rna=folder / "rna.h5ad", atac=folder / "atac.h5ad")


def _preprocessed(path: Path) -> None:
    cells = read_multiome(path)
    for part in (cells.rna, cells.atac):
        assert part.X.shape == (len(part.obs), len(part.var))


def _map(path: Path) -> None:
    assert open_contact_map(path, PEAKS).resolution_bp > 0


# safetensors


@st.composite
def _safetensors(draw):
    """A stored surrogate with parts of its header replaced, or its bytes damaged."""
    content = whole(draw(st.sampled_from(["window", "paper", "normalised"])))
    if draw(st.integers(0, 3)) == 0:
        return damaged(content, draw(st.randoms(use_true_random=True)))
    n = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + n]), content[8 + n :]
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from(sorted(header)))
        how = draw(st.sampled_from(["delete", "replace", "inside", "inside", "metadata", "metadata"]))
        value = draw(VALUES | st.sampled_from([[10**9], [10**12, 10**12], "F64", "I8", "BF16", [0, 4], {}]))
        if how == "metadata" and "__metadata__" in header:
            key = draw(st.sampled_from(["format", "surrogate", "options", "n_peaks", "seed"]))
            header["__metadata__"][key] = draw(
                st.sampled_from(
                    ["", "{", "[" * 5000, "null", '{"width": 1000000000}', '{"n_open": "x"}', '"window"']
                )
                | VALUES.map(lambda v: json.dumps(v, default=str))
            )
        elif how == "inside" and isinstance(header[name], dict) and header[name]:
            header[name][draw(st.sampled_from(sorted(header[name])))] = value
        elif how == "replace":
            header[name] = value
        else:
            del header[name]
    text = json.dumps(header).encode()
    size = draw(st.sampled_from([len(text)] * 9 + [2**63, 10**9, 0]))
    return size.to_bytes(8, "little") + text + data


def _surrogate(path: Path) -> None:
    storage.read_metadata(path)
    model = storage.load(path)
    assert len(model.peaks) and len(model.genes)


PARSERS = {
    "config": Parser(_configs(), _written("study.yaml", _config)),
    "addresses": Parser(ADDRESSES, _address),
    "names of files": Parser(st.text(max_size=400) | st.sampled_from(ODD_TEXT), _name),
    "tasks table": Parser(
        tables([b"cell_type\tgene", b"Oligo\tMOG", b'"CD8+ T"\tCD3E']), _written("t.tsv", _tasks)
    ),
    "marker table": Parser(tables([b"cell_type\tgene", b"Oligo\tMOG"]), _written("m.tsv", _markers)),
    "gene classes": Parser(
        tables([b"gene\tgene_class", b"AAA\tTF", b"BBB\thouse"]), _written("c.tsv", _classes)
    ),
    "given sets": Parser(
        tables([b"cell_type\tgene\tpeak", b"Oligo\tMOG\tchr1:5-9"]), _written("g.tsv", read_given)
    ),
    "states": Parser(STATES, _states),
    "peak names": Parser(_peak_tables(), _peaks),
    "GTF": Parser(tables(GTF), _written("genes.gtf", _genes)),
    "GFF3": Parser(tables(GFF3), _written("genes.gff3", _genes)),
    "BED of genes": Parser(tables(BED), _written("genes.bed", _genes)),
    "BED of links": Parser(tables(LINKS_BED), _links("bed", score="score", at_least=0)),
    "BEDPE of links": Parser(tables(LINKS_BEDPE), _links("bedpe")),
    "TSV of links": Parser(tables(LINKS_TSV), _links("tsv")),
    "BED of TADs": Parser(
        tables([b"chr1\t0\t500000", b"chr2\t5\t60\tx", b"chrom\tstart\tend"]),
        _written("tads.bed", lambda path: _intervals(read_tads(path, PEAKS, GENES, "hg38"))),
    ),
    "h5mu": Parser(_spoiled("h5mu"), _written("cells.h5mu", lambda path: _raw(multiome=path))),
    "h5ad": Parser(_spoiled("rna"), _h5ad),
    "10x h5": Parser(
        _spoiled("10x"), _written("cells.h5", lambda path: _raw(multiome=path, markers="human_brain"))
    ),
    "preprocessed h5mu": Parser(_spoiled("preprocessed"), _written("cells.h5mu", _preprocessed)),
    "contact map": Parser(_spoiled("cool"), _written("map.cool", _map)),
    "stored surrogate": Parser(_safetensors(), _written("x.safetensors", _surrogate)),
}
