"""GTF and GFF3 of genes, in the dialects of GENCODE, Ensembl, NCBI, UCSC, Phytozome, VEuPathDB, BRAKER and others."""

import re
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from grids.data.gene_lines import Lines, is_integer, strand_of
from grids.io.errors import InputError, listing
from grids.io.logging import log

_SUB_FEATURES = {
    b"CDS", b"UTR", b"five_prime_UTR", b"three_prime_UTR", b"start_codon", b"stop_codon", b"intron",
}  # fmt: skip
_NAME_KEYS = ("gene_name", "gene", "gene_symbol", "symbol")
_GENE_NAME_KEYS = (*_NAME_KEYS, "Name", "locus_tag")  # the Name of other features is their own
_TYPE_KEYS = ("gene_type", "gene_biotype", "biotype", "ebi_biotype")
# `key "value"`, `key value` (GTF) and `key=value` (GFF3)
_ATTRIBUTE = re.compile(r'(?:^|;)\s*([A-Za-z_][\w.-]*)\s*(=|\s)\s*(?:"([^"]*)"|([^;"]*))')
_GENE_ID = re.compile(rb'(?:^|;)\s*gene_id\s*(?:=|\s)\s*"?([^";]+)')
_PREFIX = re.compile(r"^gene[:-]", re.IGNORECASE)


def is_gtf(fields: list[bytes]) -> bool:
    return (
        len(fields) >= 8
        and is_integer(fields[3])
        and is_integer(fields[4])
        and strand_of(fields[6].decode(errors="replace")) is not None
    )


def read_gtf(lines: Lines) -> tuple[list[list], dict[tuple, array]]:
    """Genes, or transcripts of genes without a line, and exons, as from :func:`grids.data.gene_lines.read_bed`."""
    reader = _Reader(lines)
    for line in lines:
        fields = line.split(b"\t", 8)
        if len(fields) < 9:
            raise lines.error(f"expected 9 tab-separated columns, found {len(fields)}")
        if fields[2] in _SUB_FEATURES:
            reader.other_features.add(fields[2])
        elif not reader.is_of_known_gene(fields):
            reader.add(fields)
    return reader.rows(), reader.exons


class _Reader:
    """What has been read so far.

    Genes are keyed by (gene_id, chromosome). `transcripts` are those, by (key, strand, transcript), of genes whose line
    has not been read yet, or never comes; `gene_of` is GFF3's gene_id by the ID of a gene or transcript; `n_orphans`
    counts lines that belong to no gene.
    """

    def __init__(self, lines: Lines):
        self.lines = lines
        self.genes: list[list] = []
        self.known: set[tuple] = set()
        self.transcripts: dict[tuple, list] = {}
        self.exons: dict[tuple, array] = defaultdict(lambda: array("q"))
        self.gene_of: dict[str, str] = {}
        self.other_features: set[bytes] = set()
        self.n_orphans = 0

    def is_of_known_gene(self, fields: list[bytes]) -> bool:
        """Take an exon or transcript of a gene already read, as most lines are; only their gene_id is looked at."""
        is_exon = fields[2] == b"exon"
        if not is_exon and (fields[2] != b"transcript" or b"Parent=" in fields[8]):
            return False
        match = _GENE_ID.search(fields[8])
        if match is None:
            return False
        key = (self.lines.text(match[1]), self.lines.text(fields[0]))
        if key not in self.known:
            return False
        span = self.lines.interval(fields[3], fields[4], from_one=True)
        if is_exon:
            self.exons[key].extend(span)
        return True

    def add(self, fields: list[bytes]) -> None:
        """Take any line. Genes are also ncRNA_gene (Ensembl), protein_coding_gene (VEuPathDB), pseudogene ..."""
        feature, text = self.lines.text(fields[2]), self.lines.text(fields[8])
        attributes = _attributes(text)
        of_gene = self.gene_of.get(attributes.get("Parent", ""))
        if feature == "gene" or (of_gene is None and feature.endswith(("_gene", "pseudogene"))):
            lone_id = re.fullmatch(r"[^\s;=.][^\s;=]*", text.strip().rstrip(";").strip('"'))
            if not attributes and lone_id:  # all that AUGUSTUS and BRAKER write
                attributes = {"gene_id": lone_id[0]}
            self._add_gene(fields, feature, attributes)
        elif feature in ("exon", "transcript") or of_gene is not None:
            self._add_part(fields, feature, attributes, of_gene)
        else:
            self.other_features.add(fields[2])

    def _add_gene(self, fields: list[bytes], feature: str, attributes: Mapping[str, str]) -> None:
        gene_id = _first(attributes, ("gene_id", "locus_tag")) or _PREFIX.sub("", attributes.get("ID", ""))
        names = [attributes[key] for key in _GENE_NAME_KEYS if attributes.get(key)]
        gene_id = gene_id or next(iter(names), "")
        if not gene_id:
            raise self._nameless(feature)
        # A name that is only the id again tells less than another one.
        name = next((name for name in names if name != gene_id), gene_id)
        kind = "" if feature == "gene" else feature.removesuffix("_gene")
        row = self._row(fields, name, gene_id, _first(attributes, _TYPE_KEYS) or kind)
        self.genes.append(row)
        self.known.add((gene_id, row[1]))
        if attributes.get("ID"):
            self.gene_of[attributes["ID"]] = gene_id

    def _add_part(
        self, fields: list[bytes], feature: str, attributes: Mapping[str, str], of_gene: str | None
    ) -> None:
        """An exon, a transcript or another part of a gene; a transcript that BRAKER gives by its id only is none."""
        name = _first(attributes, _NAME_KEYS)
        gene_id = of_gene or attributes.get("gene_id") or name
        if not gene_id:
            if attributes and "Parent" not in attributes:
                raise self._nameless(feature)
            self.n_orphans += bool(attributes)
            return
        row = self._row(fields, name or gene_id, gene_id, _first(attributes, _TYPE_KEYS))
        key = (gene_id, row[1])
        if feature == "exon":
            self.exons[key].extend(row[2:4])
        elif attributes.get("ID"):
            self.gene_of[attributes["ID"]] = gene_id
        if key not in self.known:
            transcript = attributes.get("transcript_id") or attributes.get("Parent", "")
            whole = self.transcripts.setdefault((key, row[4], transcript), row)
            whole[2], whole[3] = min(whole[2], row[2]), max(whole[3], row[3])

    def _row(self, fields: list[bytes], name: str, gene_id: str, gene_type: str) -> list:
        start, end = self.lines.interval(fields[3], fields[4], from_one=True)
        text = self.lines.text(fields[6])
        strand = strand_of(text)
        if strand is None:
            raise self.lines.error(
                f"'{text}' in column 7 is no strand; expected + or - (or 1 and -1), and . or ? where it is unknown"
            )
        return [name, self.lines.text(fields[0]), start, end, strand, gene_id, gene_type]

    def _nameless(self, feature: str) -> InputError:
        return self.lines.error(
            f"this {feature} has no gene_id, gene_name, gene or Name among its attributes"
        )

    def rows(self) -> list[list]:
        """The genes, and those transcripts whose gene had no line."""
        rows = self.genes + [row for (key, *_), row in self.transcripts.items() if key not in self.known]
        if not rows:
            found = listing(sorted(map(self.lines.text, self.other_features))) or "none"
            raise InputError(f"{self.lines.path}: no gene, transcript or exon among its features ({found})")
        if self.n_orphans:
            told = "%s: %d lines name neither a gene nor a known parent and are left out"
            log.warning(told, self.lines.path, self.n_orphans)
        return rows


def _attributes(text: str) -> dict[str, str]:
    """Attributes by key; in GFF3 values are percent-encoded and several parents are separated by commas."""
    attributes = {}
    for key, separator, quoted, bare in _ATTRIBUTE.findall(text):
        value = quoted or bare.strip()
        if separator == "=":
            value = unquote(value.split(",")[0] if key == "Parent" else value)
        attributes[key] = value
    return attributes


def _first(attributes: Mapping[str, str], keys: Sequence[str]) -> str:
    return next((attributes[key] for key in keys if attributes.get(key)), "")
