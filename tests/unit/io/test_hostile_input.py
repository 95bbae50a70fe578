"""Bad input that people, programs and attackers make, each with the one line that follows.

The tests of each reader have its own mistakes; here are the hostile ones, and those that come from outside: wrong
formats, damaged files, values that overflow, names that are paths or commands.
"""

import gzip
import json
import os
import zipfile
from types import SimpleNamespace

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from builders import edited, multiome, write_10x, write_h5ad, write_h5mu
from models import random_surrogate
from scipy import sparse

from grids.analysis.atlas import read_gene_classes
from grids.analysis.contacts.contact_map import open_contact_map
from grids.analysis.contacts.tads import read_tads
from grids.analysis.evidence.links import read_links
from grids.data.annotation import read_genes
from grids.data.cell_types import read_markers
from grids.data.coordinates import parse_peaks
from grids.data.download import download
from grids.data.multiome import read_raw
from grids.io import config as configs
from grids.io import config_files
from grids.io.checkpoints import KeptStates
from grids.io.config import EvidenceTable
from grids.io.config_files import read_tasks
from grids.io.config_schema import check_duplicates, read_text_values
from grids.io.errors import LONGEST, InputError
from grids.search.sets import read_given
from grids.surrogates import storage
from grids.surrogates.cross_modality.stage import StageRun

PEAKS = pd.DataFrame({"chromosome": ["chr1", "chr2"], "start": [100, 100], "end": [900, 300]})
GENES = PEAKS.assign(gene=["AAA", "BBB"], strand=["+", "-"], tss=[100, 299])
SCHEMA = yaml.safe_load(
    (configs.Path(__file__).parents[3] / "workflow/schemas/config.schema.yaml").read_text()
)
STUDY = b"input: {multiome: cells.h5mu, genes: genes.gtf}\ntasks: {Oligo: [MOG]}\n"
HTML = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"
LINE_OF_2_MB = b"chr1\t5\t9\t" + b"A" * (2 << 20)


class Command:
    """A pickle that runs a command when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def zipped(folder):
    with zipfile.ZipFile(folder / "book.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    return (folder / "book.xlsx").read_bytes()


# --- what reads what -------------------------------------------------------------------------------


def config(text):
    """A config as the workflow reads it."""

    def read(folder):
        path = folder / "study.yaml"
        path.write_bytes(text if isinstance(text, bytes) else STUDY + text.encode("utf-8", "surrogatepass"))
        os.chdir(folder)
        check_duplicates(path)
        values = yaml.safe_load(path.read_text())
        values.update(read_text_values(values, SCHEMA))
        configs.check(values, SCHEMA, "study.yaml")
        config_files.downloads(values["input"])
        config_files.check_files(values, SCHEMA, "study.yaml", ["human_brain"])

    return read


def source(**changes):
    """A config whose `input` is this."""
    return config(
        yaml.safe_dump({"input": {"genes": "genes.gtf", **changes}, "tasks": {"A": ["B"]}}).encode()
    )


def file(name, content, read):
    """A file of this content (bytes, or a function of the folder), read."""

    def run(folder):
        path = folder / name
        path.write_bytes(content(folder) if callable(content) else content)
        read(path)

    return run


def tasks(content):
    return file("tasks.tsv", content, lambda path: read_tasks(str(path), "study.yaml"))


def genes(content, name="genes.gtf"):
    return file(name, content, read_genes)


def links(content, suffix="tsv", **options):
    return file(
        f"links.{suffix}",
        content,
        lambda path: read_links(EvidenceTable("eQTL", path, **options), PEAKS, GENES, run_assembly="hg38"),
    )


def cells(spoil=None, change=None, **options):
    """A MuData; `change` its parts before it is written, `spoil` the file afterwards."""

    def run(folder):
        rna, atac = multiome()
        if change:
            change(rna, atac)
        path = write_h5mu(folder / "cells.h5mu", rna, atac)
        if spoil:
            with edited(path) as file:
                spoil(file)
        raw = read_raw({"multiome": path, **options})
        parse_peaks(raw.atac.var.index, raw.atac.var, where=raw.atac.where)

    return run


def single(spoil):
    """Two AnnData files; the RNA's is spoiled."""

    def run(folder):
        rna, atac = multiome()
        paths = {
            name: write_h5ad(folder / f"{name}.h5ad", part) for name, part in (("rna", rna), ("atac", atac))
        }
        with edited(paths["rna"]) as file:
            spoil(file)
        read_raw(paths)

    return run


def tenx(spoil):
    def run(folder):
        path = write_10x(folder / "cells.h5", *multiome())
        with edited(path) as file:
            spoil(file)
        read_raw({"multiome": path, "markers": "human_brain"})

    return run


def surrogate(spoil):
    """A stored surrogate whose header, a dict, is spoiled."""

    def run(folder):
        path = folder / "x.safetensors"
        storage.save(random_surrogate("paper"), path)
        content = path.read_bytes()
        n = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + n])
        text = json.dumps(spoil(header) or header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + n :])
        storage.load(path)

    return run


def checkpoint(write):
    def resume(folder):
        run = object.__new__(StageRun)
        run.stage, run.types, run.kept = SimpleNamespace(name="mapping"), "all", KeptStates(folder)
        run.model = run.optimiser = run.critic_optimiser = torch.nn.Linear(1, 1)
        write(run.kept._path(["mapping", "all"]))
        run._resumed()

    return resume


def put(path, value):
    """Replace an array or group of an HDF5 file."""

    def spoil(file):
        if path in file:
            del file[path]
        file[path] = value

    return spoil


def huge(path, dtype="i4"):
    """An array of a million million values that takes no room in the file."""

    def spoil(file):
        attributes = dict(file[path].attrs)
        del file[path]
        file.create_dataset(path, shape=(10**12,), chunks=(10**6,), dtype=dtype).attrs.update(attributes)

    return spoil


def one(path, i, value):
    def spoil(file):
        file[path][i] = value

    return spoil


def renamed(axis, i, name):
    """A change of one name of the RNA's genes (var) or cells (obs), or of a cell type."""

    def change(rna, atac):
        if axis == "cell_type":
            for part in (rna, atac):
                part.obs["cell_type"] = part.obs["cell_type"].astype(str).replace("Oligo", name)
            return
        part = atac if axis == "peak" else rna
        names = list(part.obs_names if axis == "obs" else part.var_names)
        names[i] = name
        setattr(part, "obs_names" if axis == "obs" else "var_names", names)

    return change


def old_layout(folder):
    """A matrix of Cell Ranger 2."""
    with h5py.File(folder / "old.h5", "w") as file:
        file["GRCh38/genes"] = np.array([b"ENSG1"])
    return (folder / "old.h5").read_bytes()


def dense(folder):
    rna, atac = multiome()
    rna = anndata.AnnData(rna.X.toarray().astype(complex), obs=rna.obs, var=rna.var)
    read_raw({"rna": write_h5ad(folder / "r.h5ad", rna), "atac": write_h5ad(folder / "a.h5ad", atac)})


def aliases(n):
    """Nine copies of nine copies of ...: YAML's billion laughs."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, n)]
    return "\n".join(lines)


NOT_HDF5 = r"not an HDF5 file; expected \.h5mu, \.h5ad or a 10x \.h5"
DAMAGED = "truncated or corrupt"
CASES = {
    # configs
    "config: a list": (
        config(b"- a\n- b\n"),
        r"study\.yaml: expected keys with values \(run: name\), found \['a', 'b'\]",
    ),
    "config: an open bracket": (
        config("search: [1\n"),
        "this is no valid YAML .*check indentation, colons and quotes",
    ),
    "config: tabs for spaces": (config("search:\n\tset_size: 5\n"), "this is no valid YAML"),
    "config: UTF-16": (
        config(STUDY.decode().encode("utf-16")),
        "cannot be read as text .* expected a YAML file in UTF-8",
    ),
    "config: a picture": (config(b"\x89PNG\r\n\x1a\n\0\0"), "cannot be read as text"),
    "config: a billion laughs": (config(aliases(12)), r"its aliases \(\*name\) unfold into too many values"),
    "config: holds itself": (
        config("search: &a {start: *a}\n"),
        r"its aliases \(\*name\) unfold into too many values",
    ),
    "config: 3,000 brackets": (config("search: " + "[" * 3000 + "]" * 3000), "nested too deeply"),
    "config: code": (config("x: !!python/object/apply:os.system [touch touched]\n"), "this is no valid YAML"),
    "config: not a number": (
        config("preprocessing: {target_sum: .nan}\n"),
        r"preprocessing\.target_sum: nan is not allowed; expected a finite number",
    ),
    "config: infinity": (
        config("windows: {window_bp: .inf}\n"),
        r"windows\.window_bp: inf is not allowed; expected a finite",
    ),
    "config: a date": (config("run: 2024-01-01\n"), r"run: 2024-01-01 is not allowed; expected text"),
    "config: a day that is none": (config("run: 2024-13-45\n"), "this is no valid YAML"),
    "config: a seed of true": (config("seed: true\n"), "seed: true is not allowed; expected a whole number"),
    "run: a path upwards": (
        config("run: ../x\n"),
        r"run: '\.\./x' is not allowed; expected text \(name of the run",
    ),
    "run: a path": (config("run: /etc/x\n"), "run: '/etc/x' is not allowed"),
    "run: a command": (config("run: $(touch touched)\n"), r"run: '\$\(touch touched\)' is not allowed"),
    "run: two commands": (config("run: 'a; touch touched'\n"), "run: 'a; touch touched' is not allowed"),
    "run: a line break": (config('run: "a\\n"\n'), "run: 'a ?' is not allowed"),
    "run: 300 characters": (
        config(f"run: {'x' * 300}\n"),
        r"is not allowed; expected text \(name of the run.*at most 100\)",
    ),
    "run: not ASCII": (config("run: größe\n"), "run: 'größe' is not allowed"),
    "results: a line break": (config('results: "a\\nb"\n'), "results: 'a b' is not allowed; expected text"),
    "results: a wildcard": (config("results: 'a{b}'\n"), r"results: 'a\{b\}' is not allowed"),
    "tasks: a list of lists": (
        config("tasks: {A: [[B]]}\n".replace("tasks", "states")),
        "states: .* is not allowed; expected a list",
    ),
    # URLs and file names
    "URL: ftp": (
        source(multiome="ftp://e.org/a.h5mu"),
        "is no http or https address; expected https://server/path/file",
    ),
    "URL: a local file": (
        source(multiome="file:///etc/passwd"),
        "'file:///etc/passwd' is no http or https address",
    ),
    "URL: no server": (source(multiome="https:///a.h5mu"), "is no http or https address"),
    "URL: an open bracket": (source(multiome="http://[::1/a.h5mu"), "is no http or https address"),
    "URL: a line break": (source(multiome="http://e.org/a\nHost: x"), "is no http or https address"),
    "URL: a space": (source(multiome="http://e.org/a b.h5mu"), "is no http or https address"),
    "checksum: of an unknown kind": (
        source(multiome="https://e.org/a", checksums={"multiome": "crc32:00"}),
        r"'crc32:00' is not allowed; expected text \('md5:'",
    ),
    "checksum: too short": (
        source(multiome="https://e.org/a", checksums={"multiome": "sha256:" + "0" * 63}),
        "is not allowed; expected text",
    ),
    "download: not an address": (
        lambda folder: download("javascript:alert(1)", folder / "x"),
        "cannot be downloaded",
    ),
    "file name: of zeros": (source(multiome="a\0b"), r"input\.multiome: there is no file 'a\\x00b'"),
    "file name: 5,000 characters": (
        source(multiome="x" * 5000),
        r"input\.multiome: there is no file 'x+ \.\.\. ",
    ),
    "file name: a wildcard": (
        file("{x}.h5mu", b"", lambda path: source(multiome=path.name)(path.parent)),
        r"input\.multiome: '\{x\}\.h5mu' has a brace, which Snakemake reads as a wildcard; rename the file",
    ),
    "file name: a line break": (
        file("a\nb.h5mu", b"", lambda path: source(multiome=path.name)(path.parent)),
        r"input\.multiome: file names: 1 are empty or hold a tab, line break",
    ),
    "file name: a folder": (source(multiome=os.sep), "input.multiome: '/' is a folder; expected the path"),
    "file name: steers the terminal": (source(multiome="a\x1b[2J"), r"there is no file 'a\\x1b\[2J'"),
    "markers: a path upwards": (
        source(multiome=__file__, genes=__file__, markers="../" * 50 + "x"),
        "is neither a file nor one of human_brain",
    ),
    # task sheets and other tables
    "tasks: Latin-1": (
        tasks("cell_type\tgene\nGroß\tA\n".encode("latin-1")),
        r"tasks\.tsv: cannot be read as a tab-separated text file",
    ),
    "tasks: a workbook": (tasks(zipped), r"tasks\.tsv: (cannot be read|column 'cell_type' is missing)"),
    "tasks: an open quote": (
        tasks(b'cell_type\tgene\nA\t"B\nC\tD\n'),
        "cannot be read as a tab-separated text file",
    ),
    "tasks: a third field": (
        tasks(b"cell_type\tgene\nA\tB\tC\n"),
        "line 2: more fields than columns; expected one cell type and one gene",
    ),
    "tasks: a column twice": (tasks(b"cell_type\tgene\tgene\nA\tB\tC\n"), "column 'gene' stands twice"),
    "tasks: a line break in a name": (
        tasks(b'cell_type\tgene\nA\t"B\nC"\n'),
        r"line 3: names: 1 are empty or hold a tab, line break .*'B\\nC'",
    ),
    "tasks: a field of 200 kB": (
        tasks(b"cell_type\tgene\nA\t" + b"x" * 200_000),
        "cannot be read as a tab-separated text file .*field",
    ),
    "markers: not gzip": (
        file("m.tsv.gz", b"cell_type\tgene\n", read_markers),
        r"input\.markers: .* is not a tab-separated table",
    ),
    "markers: empty": (file("m.tsv", b"", read_markers), "is not a tab-separated table"),
    "markers: binary": (file("m.tsv", b"\xff\xfe\x00", read_markers), "is not a tab-separated table"),
    "given sets: no members": (
        file("g.tsv", b"cell_type\tgene\n", read_given),
        r"search\.given: .* column 'peak' is missing",
    ),
    "given sets: cut off": (
        file("g.tsv.gz", gzip.compress(b"cell_type\tgene\tpeak\n" * 99)[:-9], read_given),
        r"search\.given: .* cannot be read",
    ),
    "gene classes: cut off": (
        file(
            "c.tsv.gz",
            gzip.compress(b"gene\tgene_class\n" * 99)[:-9],
            lambda path: read_gene_classes(path, GENES["gene"]),
        ),
        "cannot be read as TSV",
    ),
    # annotations
    "GTF: an error page": (genes(HTML), r"genes\.gtf, line 1: neither GTF/GFF3 .*nor BED .*<!DOCTYPE"),
    "GTF: a workbook": (genes(zipped), "this is a binary file; expected GTF, GFF3 or BED"),
    "GTF: FASTA": (genes(b">chr1\nACGT\n"), "line 1: neither GTF/GFF3"),
    "GTF: a position of 25 digits": (
        genes(b"chr1\tx\tgene\t5\t" + b"9" * 25 + b'\t.\t+\t.\tgene_id "A"'),
        "line 1: (neither GTF|start and end must be)",
    ),
    "GTF: a position of 5,000 digits, later": (
        genes(
            b'chr1\tx\tgene\t5\t9\t.\t+\t.\tgene_id "A"\nchr1\tx\tgene\t5\t'
            + b"9" * 5000
            + b'\t.\t+\t.\tgene_id "B"'
        ),
        r"line 2: start and end must be whole numbers.*\(at most 1,000,000,000,000\)",
    ),
    "BED: a gene that ends above the largest position, with as many digits": (
        genes(b"chr1\t100\t900\tA\t0\t+\nchr1\t100\t9195770062184\tB\t0\t+"),
        r"line 2: start and end must be whole numbers.*\(at most 1,000,000,000,000\)",
    ),
    "GTF: a line of 2 MB": (
        genes(LINE_OF_2_MB),
        "line 1: more than 1,048,576 bytes; expected GTF, GFF3 or BED with line breaks",
    ),
    "GTF: a line of 2 MB, packed": (
        genes(gzip.compress(LINE_OF_2_MB), "genes.gtf.gz"),
        "line 1: more than 1,048,576 bytes",
    ),
    "GTF: a bell in a name": (
        genes(b'chr1\tx\tgene\t5\t9\t.\t+\t.\tgene_id "A\x07"'),
        "gene names: 1 are empty or hold a tab, line break or control",
    ),
    "GTF: UTF-16": (
        genes('chr1\tx\tgene\t5\t9\t.\t+\t.\tgene_id "A"'.encode("utf-16")),
        "this is a binary file",
    ),
    "GFF3: genes without a name": (
        genes(b"chr1\tx\tgene\t5\t9\t.\t+\t.\tlevel=2", "genes.gff3"),
        "line 1: this gene has no gene_id",
    ),
    "BED: a position of 1e30": (
        genes(b"chr1\t5\t9\tA\nchr1\t5\t1e30\tB\n", "genes.bed"),
        "line 2: start and end must be whole numbers",
    ),
    # links, TADs, maps
    "links: an error page": (links(HTML), "evidence 'eQTL' .*: no column for the chromosome"),
    "links: infinity": (
        links(b"chr\tstart\tend\tgene\nchr1\t5\tinf\tAAA\n"),
        "line 2: end is 'inf'; expected a whole number of at most 1,000,000,000,000",
    ),
    "links: 1e30": (
        links(b"chr\tstart\tend\tgene\nchr1\t5\t1e30\tAAA\n"),
        "line 2: end is '1e30'; expected a whole number",
    ),
    "BEDPE: 1e19, which wraps around": (
        links(b"chr1\t5\t9\tchr1\t5\t1e19\n", "bedpe"),
        "line 1: end is '1e19'; expected a whole number",
    ),
    "BEDPE: negative": (links(b"chr1\t-5\t9\tchr1\t5\t9\n", "bedpe"), "line 1: chr1:-5-9 is no interval"),
    "BEDPE: a line of 2 MB": (links(LINE_OF_2_MB, "bedpe"), "line 1: more than 1,048,576 characters"),
    "BEDPE: cut off": (
        links(gzip.compress(b"chr1\t5\t9\tchr1\t5\t9\n" * 99)[:-9], "bedpe.gz"),
        "the gzip file is damaged",
    ),
    "BED: an empty file of links": (
        links(b"", "bed"),
        "none of its 0 rows has coordinates, a gene and a value",
    ),
    "TADs: an error page": (
        file("t.bed", HTML, lambda path: read_tads(path, PEAKS, GENES)),
        r"contacts\.tads .*line 2: start is .* expected a whole number",
    ),
    "map: a workbook": (
        file("m.mcool", zipped, lambda path: open_contact_map(path, PEAKS)),
        "this is no contact map",
    ),
    "map: of matrices": (
        file("m.cool", old_layout, lambda path: open_contact_map(path, PEAKS)),
        "this is no contact map",
    ),
    # multiome files
    "h5mu: an error page": (file("c.h5mu", HTML, lambda path: read_raw({"multiome": path})), NOT_HDF5),
    "h5mu: a workbook": (file("c.h5mu", zipped, lambda path: read_raw({"multiome": path})), NOT_HDF5),
    "h5mu: an index beyond the columns": (cells(one("mod/rna/X/indices", 0, 10**6)), DAMAGED),
    "h5mu: a negative index": (cells(one("mod/rna/X/indices", 0, -5)), DAMAGED),
    "h5mu: rows that run backwards": (cells(one("mod/atac/X/indptr", 3, 2**30)), DAMAGED),
    "h5mu: cells without end": (
        cells(huge("mod/rna/obs/_index")),
        "it announces [0-9,]+ bytes of data but the file has",
    ),
    "h5mu: values without end": (
        cells(huge("mod/rna/X/data")),
        "it announces 4,000,000,[0-9,]+ bytes of data but",
    ),
    "h5mu: an array for the modalities": (cells(huge("mod")), "format is unknown|format is AnnData"),
    "h5mu: an array for a modality": (
        cells(huge("mod/rna")),
        "modality 'rna': expected X, obs and var, found a single array",
    ),
    "h5mu: a link to nowhere": (
        cells(put("mod/rna/X", h5py.SoftLink("/nowhere"))),
        "X missing|truncated or corrupt",
    ),
    "h5mu: a link to another file": (
        cells(put("mod/rna/X", h5py.ExternalLink("/etc/passwd", "/"))),
        "X missing|truncated or corrupt",
    ),
    "h5mu: text for counts": (
        cells(put("mod/rna/X", np.array([["a"]], object))),
        "expected a numeric matrix, found 2 dimensions of object",
    ),
    "h5mu: a matrix of another size": (
        cells(put("mod/rna/X", np.ones((7, 3)))),
        "the matrix is 7 x 3 but obs has 60 rows and var 30",
    ),
    "h5mu: three dimensions": (
        cells(put("mod/rna/X", np.ones((2, 2, 2)))),
        "expected a numeric matrix, found 3 dimensions",
    ),
    "h5mu: obs is a number": (
        cells(put("mod/rna/obs", 5)),
        "written by anndata before 0.7|truncated or corrupt",
    ),
    "h5mu: a cell without a name": (
        cells(change=renamed("obs", 4, "")),
        "cell names: 1 are empty or hold a tab",
    ),
    "h5mu: a gene with a line break": (
        cells(change=renamed("var", 4, "A\nB")),
        r"gene names: 1 are empty .*'A\\nB'",
    ),
    "h5mu: a gene with a tab": (
        cells(change=renamed("var", 4, "A\tB")),
        r"gene names: 1 are empty .*'A\\tB'",
    ),
    "h5mu: a cell type with a line break": (
        cells(change=renamed("cell_type", 0, "A\nB")),
        "cell types in obs.'cell_type'.: 1 are empty",
    ),
    "h5mu: a cell type called peak": (
        cells(change=renamed("cell_type", 0, "peak")),
        "'peak' is the name of a column .* rename this cell type",
    ),
    "h5mu: a peak with a line break": (
        cells(change=renamed("peak", 4, "chr1:5-9\n")),
        "peak names: 1 are empty or hold",
    ),
    "h5mu: a peak with a space": (
        cells(change=renamed("peak", 4, "chr 1:5-9")),
        r"1 of 40 peaks have no coordinates \(e\.g\. chr 1:5-9\)",
    ),
    "h5mu: a peak that is a path": (
        cells(change=renamed("peak", 4, "../../etc/passwd")),
        "1 of 40 peaks have no coordinates",
    ),
    "h5mu: modalities exchanged": (
        lambda folder: cells_exchanged(folder),
        "40 of 40 .*|30 of 30 peaks have no coordinates",
    ),
    "h5ad: complex numbers": (dense, "expected a numeric matrix, found 2 dimensions of complex"),
    "h5ad: no counts": (single(put("X", np.ones((60, 30)) * 0.5)), "RNA values are not whole numbers"),
    "h5ad: nothing in it": (
        single(lambda file: [file.pop(name) for name in list(file)]),
        r"format is unknown \(top-level entries: none\)",
    ),
    "h5ad: a year of the last century": (
        single(put("obs", np.zeros(60, dtype=[("index", "S5"), ("a", "i4")]))),
        "written by anndata before 0.7|truncated",
    ),
    "10x: of Cell Ranger 2": (
        file("old.h5", old_layout, lambda path: read_raw({"multiome": path})),
        "format is unknown .top-level entries: GRCh38",
    ),
    "10x: no barcodes": (tenx(lambda file: file.pop("matrix/barcodes")), DAMAGED),
    "10x: an index beyond the features": (tenx(one("matrix/indices", 0, 10**6)), DAMAGED),
    "10x: features without end": (
        tenx(huge("matrix/indptr", "i8")),
        "it announces 8,000,000,[0-9,]+ bytes of data but",
    ),
    "10x: an array for the matrix": (tenx(put("matrix", np.ones(3))), "format is unknown"),
    # stored models and checkpoints
    "surrogate: a pickle": (
        lambda folder: pickled(folder / "x.safetensors", storage.load),
        "cannot be read as safetensors",
    ),
    "surrogate: a header of 8 EB": (
        file("x.safetensors", (2**63 - 1).to_bytes(8, "little") + b"{}", storage.load),
        "cannot be read as safetensors",
    ),
    "surrogate: metadata that is no JSON": (
        surrogate(lambda header: header["__metadata__"].update(options="{")),
        "not a surrogate written by this version",
    ),
    "surrogate: of no kind": (
        surrogate(lambda header: header["__metadata__"].pop("surrogate") and None),
        "a surrogate of the kind 'None'",
    ),
    "surrogate: unknown options": (
        surrogate(lambda header: header["__metadata__"].update(options='{"__class__": 1}')),
        "the stored surrogate is damaged",
    ),
    "surrogate: a width that fills the memory": (
        surrogate(
            lambda header: header["__metadata__"].update(options='{"encoder": "paper", "width": 5000000000}')
        ),
        r"the stored surrogate is damaged \(ValueError: width 5000000000 is larger than any weight\)",
    ),
    "checkpoint: a command": (
        checkpoint(lambda path: torch.save(Command(path.parent / "touched"), path)),
        "this checkpoint cannot be read .*delete it and run again",
    ),
    "checkpoint: cut off": (
        checkpoint(lambda path: path.write_bytes(b"PK\x03\x04")),
        "this checkpoint cannot be read",
    ),
    "checkpoint: of something else": (
        checkpoint(lambda path: torch.save({"a": torch.ones(3)}, path)),
        "this checkpoint cannot be read .KeyError",
    ),
}


def cells_exchanged(folder):
    rna, atac = multiome()
    path = write_h5mu(folder / "cells.h5mu", atac, rna)
    raw = read_raw({"multiome": path})
    parse_peaks(raw.atac.var.index, raw.atac.var, where=raw.atac.where)


def pickled(path, read):
    import pickle

    path.write_bytes(pickle.dumps(Command(path.parent / "touched")))
    read(path)


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_told_in_clear_lines(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read, expected = CASES[name]
    with pytest.raises(InputError, match=expected) as error:
        read(tmp_path)
    assert error.value.told == error.value.messages
    assert all(line.isprintable() and len(line) < LONGEST + 200 for line in error.value.told)
    assert not (tmp_path / "touched").exists()


def test_a_pickle_would_have_run_its_command(tmp_path):
    """What the tests above would miss if the pickle were harmless."""
    torch.save(Command(tmp_path / "touched"), tmp_path / "x.pt")
    torch.load(tmp_path / "x.pt", weights_only=False)
    assert (tmp_path / "touched").exists()


def test_sparse_files_of_sound_indices_still_pass(tmp_path):
    rna, atac = multiome()
    rna.X = sparse.csc_matrix(rna.X)
    raw = read_raw({"multiome": write_h5mu(tmp_path / "cells.h5mu", rna, atac)})
    assert (rna.X.tocsr() != raw.rna.X).nnz == 0
