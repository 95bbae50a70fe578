"""Gene annotations in the dialects that people have."""

import gzip
import logging

import pytest

from grids.annotation import GENE_COLUMNS, match_genes, read_genes
from grids.errors import InputError

GENCODE = """\
##description: evidence-based annotation
##provider: GENCODE
chr1\tHAVANA\tgene\t11\t60\t.\t+\t.\tgene_id "ENSG1.5"; gene_type "protein_coding"; gene_name "AAA"; level 2;
chr1\tHAVANA\ttranscript\t11\t60\t.\t+\t.\tgene_id "ENSG1.5"; transcript_id "T1.1"; gene_name "AAA";
chr1\tHAVANA\texon\t11\t20\t.\t+\t.\tgene_id "ENSG1.5"; transcript_id "T1.1"; gene_name "AAA"; exon_number 1;
chr1\tHAVANA\tCDS\t13\t20\t.\t+\t0\tgene_id "ENSG1.5"; transcript_id "T1.1"; gene_name "AAA"; exon_number 1;
chr1\tHAVANA\texon\t41\t60\t.\t+\t.\tgene_id "ENSG1.5"; transcript_id "T1.1"; gene_name "AAA"; exon_number 2;
chr1\tHAVANA\ttranscript\t11\t55\t.\t+\t.\tgene_id "ENSG1.5"; transcript_id "T2.1"; gene_name "AAA";
chr1\tHAVANA\texon\t16\t25\t.\t+\t.\tgene_id "ENSG1.5"; transcript_id "T2.1"; gene_name "AAA"; exon_number 1;
chr1\tHAVANA\texon\t51\t55\t.\t+\t.\tgene_id "ENSG1.5"; transcript_id "T2.1"; gene_name "AAA"; exon_number 2;
chr1\tHAVANA\tgene\t101\t200\t.\t-\t.\tgene_id "ENSG2.1"; gene_type "lncRNA"; gene_name "B-B/2";
"""
AAA = ["AAA", "chr1", 10, 60, "+", 10, "10,40", "25,60", "ENSG1.5", "protein_coding"]
BBB = ["B-B/2", "chr1", 100, 200, "-", 199, "", "", "ENSG2.1", "lncRNA"]


@pytest.fixture
def read(tmp_path):
    def read(text, name="genes.gtf", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_genes(path, **options)

    return read


def rows(genes):
    assert list(genes.columns) == GENE_COLUMNS
    return genes.to_numpy().tolist()


def gtf(*lines):
    return "".join("\t".join(map(str, line)) + "\n" for line in lines)


def gene_line(chromosome, start, end, strand, attributes, feature="gene"):
    return (chromosome, "test", feature, start, end, ".", strand, ".", attributes)


# --- GTF and GFF3 ----------------------------------------------------------------------------------


def test_gencode_with_exons_of_all_transcripts_merged(read):
    assert rows(read(GENCODE)) == [AAA, BBB]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("; ", ";"),
        lambda text: text.replace("; ", " ; "),
        lambda text: text.replace(";\n", "\n"),
        lambda text: text.replace('"', ""),
        lambda text: "# made by hand\n\n" + text + "\n\n",
        lambda text: text.replace("gene_type", "gene_biotype"),
        lambda text: text.replace("level 2;", 'note "see http://x.org/#a; and more";'),
    ],
    ids=["crlf", "bom", "tight", "loose", "unclosed", "unquoted", "blank", "ensembl_key", "hash"],
)
def test_dialects_of_gtf_read_alike(read, change):
    assert rows(read(change(GENCODE))) == [AAA, BBB]


@pytest.mark.parametrize("name", ["genes.gtf.gz", "genes.gtf", "genes"])
def test_gzip_is_known_by_its_bytes(read, name):
    assert rows(read(gzip.compress(GENCODE.encode()), name)) == [AAA, BBB]
    assert rows(read(GENCODE, "plain.gtf.gz")) == [AAA, BBB]


def test_exon_lines_may_come_before_their_gene(read):
    reversed_lines = "".join(line + "\n" for line in reversed(GENCODE.splitlines()))
    assert rows(read(reversed_lines)) == [AAA, BBB]


def test_genes_without_name_are_called_by_their_id(read):
    genes = read(gtf(gene_line(1, 5, 9, "+", 'gene_id "ENSG00000000001"; gene_biotype "TEC";')))
    assert rows(genes) == [["ENSG00000000001", "1", 4, 9, "+", 4, "", "", "ENSG00000000001", "TEC"]]


def test_ncbi_names_genes_by_the_key_gene(read):
    text = gtf(
        gene_line("NC_1", 5, 50, "-", 'gene_id "DDX_1"; transcript_id ""; gene "DDX"; gene_biotype "misc";'),
        gene_line("NC_1", 5, 9, "-", 'gene_id "DDX_1"; transcript_id "NR_1"; gene "DDX";', "exon"),
        gene_line("NC_1", 60, 70, "+", 'gene_id ""; gene "TRN";'),
    )
    assert rows(read(text)) == [
        ["DDX", "NC_1", 4, 50, "-", 49, "4", "9", "DDX_1", "misc"],
        ["TRN", "NC_1", 59, 70, "+", 59, "", "", "TRN", ""],
    ]


@pytest.mark.parametrize("features", [("transcript", "exon", "CDS"), ("exon", "CDS"), ("exon",)])
def test_a_file_without_gene_lines_is_read_from_transcripts_and_exons(read, features):
    lines = [
        gene_line("chr1", 11, 60, "-", 'gene_id "AAA"; transcript_id "NM_1"; gene_name "AAA";', "transcript"),
        gene_line("chr1", 11, 20, "-", 'gene_id "AAA"; transcript_id "NM_1"; gene_name "AAA";', "exon"),
        gene_line("chr1", 51, 60, "-", 'gene_id "AAA"; transcript_id "NM_1"; gene_name "AAA";', "exon"),
        gene_line("chr1", 12, 20, "-", 'gene_id "AAA"; transcript_id "NM_1"; gene_name "AAA";', "CDS"),
        gene_line("chr1", 41, 80, "-", 'gene_id "AAA"; transcript_id "NM_2"; gene_name "AAA";', "transcript"),
        gene_line("chr1", 41, 80, "-", 'gene_id "AAA"; transcript_id "NM_2"; gene_name "AAA";', "exon"),
    ]
    genes = read(gtf(*(line for line in lines if line[2] in features)))
    assert rows(genes) == [["AAA", "chr1", 10, 80, "-", 79, "10,40", "20,80", "AAA", ""]]


@pytest.mark.parametrize(
    ("gene", "transcript", "exon", "gene_id"),
    [
        (
            "ID=gene:ENSG1;Name=AAA;biotype=protein_coding;gene_id=ENSG1",
            "ID=transcript:T1;Parent=gene:ENSG1;Name=AAA-201",
            "Parent=transcript:T1;Name=ENSE1;rank=1",
            "ENSG1",
        ),
        (
            "ID=ENSG1.2;gene_id=ENSG1.2;gene_type=protein_coding;gene_name=AAA",
            "ID=T1;Parent=ENSG1.2;gene_id=ENSG1.2;gene_name=AAA",
            "ID=exon:T1:1;Parent=T1;gene_id=ENSG1.2;gene_name=AAA",
            "ENSG1.2",
        ),
        (
            "ID=gene-AAA;Dbxref=GeneID:1;Name=AAA;gbkey=Gene;gene=AAA;gene_biotype=protein_coding",
            "ID=rna-NM_1;Parent=gene-AAA;gbkey=mRNA;gene=AAA",
            "ID=exon-NM_1-1;Parent=rna-NM_1;gbkey=mRNA",
            "AAA",
        ),
    ],
    ids=["ensembl", "gencode", "ncbi"],
)
def test_gff3_dialects(read, gene, transcript, exon, gene_id):
    text = "##gff-version 3\n" + gtf(
        ("1", "x", "region", 1, 9999, ".", "+", ".", "ID=chromosome:1"),
        gene_line("1", 11, 60, "+", gene),
        gene_line("1", 11, 60, "+", transcript, "mRNA"),
        gene_line("1", 11, 20, "+", exon, "exon"),
        gene_line("1", 51, 60, "+", exon, "exon"),
    )
    expected = ["AAA", "1", 10, 60, "+", 10, "10,50", "20,60", gene_id, "protein_coding"]
    assert rows(read(text + "##FASTA\n>1\nACGT\n")) == [expected]


def test_gff3_lines_without_a_known_parent_are_counted_in_the_log(read, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    text = gtf(
        gene_line("1", 1, 60, "+", "ID=g;Name=AAA"), gene_line("1", 1, 9, "+", "Parent=nobody", "exon")
    )  # fmt: skip
    assert rows(read(text))[0][6] == ""
    assert "1 lines name neither a gene nor a known parent" in caplog.text


# --- one row per gene name -------------------------------------------------------------------------


def test_near_rows_of_one_name_are_merged_and_far_ones_left_out_loudly(read, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    text = "".join(
        f"{chromosome}\t{start}\t{start + 100}\t{name}\t0\t{strand}\n"
        for chromosome, start, name, strand in [
            ("chrY", 50, "PAR", "+"), ("chrX", 80, "PAR", "+"),
            ("chr2", 500, "NEAR", "-"), ("chr2", 900_000, "NEAR", "-"), ("chr2", 1_900_099, "NEAR", "-"),
            ("chr3", 500, "FAR", "+"), ("chr3", 1_000_600, "FAR", "+"),
        ]
    )  # fmt: skip
    genes = read(text, "genes.bed")
    assert genes[["gene", "chromosome", "start", "end", "tss"]].to_numpy().tolist() == [
        ["NEAR", "chr2", 500, 1_900_199, 1_900_198],
        ["FAR", "chr3", 500, 600, 500],
        ["PAR", "chrX", 80, 180, 80],
    ]
    assert "2 gene names occur at several places" in caplog.text and "FAR, PAR" in caplog.text


def test_a_coding_gene_wins_over_its_namesake_and_exons_follow(read):
    text = gtf(
        gene_line("chr1", 1, 90, "+", 'gene_id "E1"; gene_name "AAA"; gene_type "pseudogene";'),
        gene_line("chr1", 1, 90, "+", 'gene_id "E1"; gene_name "AAA";', "exon"),
        gene_line("chr5", 1, 90, "+", 'gene_id "E2"; gene_name "AAA"; gene_type "protein_coding";'),
        gene_line("chr5", 5, 90, "+", 'gene_id "E2"; gene_name "AAA";', "exon"),
    )
    assert rows(read(text)) == [["AAA", "chr5", 0, 90, "+", 0, "4", "90", "E2", "protein_coding"]]


# --- BED -------------------------------------------------------------------------------------------


def test_bed_with_a_header_for_id_and_type(read):
    text = (
        "#a comment\n#chr\tstart\tend\tname\tscore\tstrand\tEnsembl_ID\tgene_type\n"
        "chr10\t5\t9\tBBB\t0\t-\tENSG2\tlincRNA\nchr2\t5\t9\tAAA\t0\t+\tENSG1\tprotein_coding\n"
    )
    expected = [
        ["AAA", "chr2", 5, 9, "+", 5, "", "", "ENSG1", "protein_coding"],
        ["BBB", "chr10", 5, 9, "-", 8, "", "", "ENSG2", "lincRNA"],
    ]
    assert rows(read(text)) == expected
    assert rows(read(text.replace("#chr", "chr"))) == expected
    assert rows(read(text + "#the end\n")) == expected


@pytest.mark.parametrize(
    ("line", "strand"),
    [
        ("chr1\t5\t9\tAAA", "."),
        ("chr1 5 9 AAA", "."),
        ("chr1\t5\t9\tAAA\t0\t-", "-"),
        ("chr1\t5\t9\tAAA\t0\t?", "."),
        ("chr1\t5\t9\tAAA\t0\t-\tanything\telse", "-"),
    ],
)
def test_bed_of_few_columns(read, line, strand):
    text = f'track name="genes"\nbrowser position chr1:1-10\n{line}\n'
    assert rows(read(text)) == [["AAA", "chr1", 5, 9, strand, 8 if strand == "-" else 5, "", "", "AAA", ""]]


def test_bed12_blocks_are_exons(read):
    text = "chr1\t100\t200\tAAA\t0\t-\t100\t200\t0\t2\t10,20,\t0,80,\n"
    assert rows(read(text)) == [["AAA", "chr1", 100, 200, "-", 199, "100,180", "110,200", "AAA", ""]]


# --- bad files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "genes.gtf: no annotation in this file: it is empty"),
        (b"# only\n# comments\n", "no annotation in this file"),
        (b"chrom\tstart\tend\tname\n", "genes.gtf: no gene in this file, only a header"),
        (
            gzip.compress(GENCODE.encode() * 50, mtime=0)[:-40],
            "genes.gtf: the gzip file is truncated or damaged after line",
        ),
        (b"\x1f\x8b but not gzip", "truncated or damaged after line 0"),
        (b"\x89HDF\r\n\x1a\n\0\0\0", "genes.gtf: this is a binary file"),
        (gzip.compress(b"chr1\t5\t9\tAAA\nchr1\t5\t9\t\0\n", mtime=0), "genes.gtf: this is a binary file"),
        (b"gene,score\nAAA,5\n", r"line 1: neither GTF/GFF3 \(9 tab.*gene,score"),
        (b"chr1\t5\t9\n", "line 1: expected at least 4 columns .* found 3"),
        (
            b"chr1\t5\t9\tAAA\nchr1\t9\t9\tBBB\n",
            "line 2: start 9 and end 9 are no interval; expected 0 <= start < end",
        ),
        (b"#x\nchr1\t-5\t9\tAAA\n", "line 2: start -5 and end 9 are no interval"),
        (
            b"chr1\t5\t9\tAAA\nchr1\tx\t9\tBBB\n",
            "line 2: start and end must be whole numbers, found 'x' and '9'",
        ),
        (b"chr1\t5\t9\t.\n", "line 1: the gene has no name"),
        (b"chr1\t5\t9\tA\xff\n", "line 1: a name is not valid UTF-8"),
        (gtf(gene_line(1, 0, 9, "+", "gene_id A;")), r"line 1: start 0 and end 9 .* count from 1"),
        (gtf(gene_line(1, 9, 8, "+", "gene_id A;")), r"line 1: start 9 and end 8 are no interval"),
        (
            gtf(gene_line(1, 5, 9, "+", "level 2;")),
            "line 1: this gene has no gene_id, gene_name, gene or Name",
        ),
        (GENCODE + "chr1\tHAVANA\n", "line 12: expected 9 tab-separated columns, found 2"),
        (
            gtf(gene_line(1, 5, 9, "+", "gene_id A;", "CDS")),
            r"no gene, transcript or exon among its features \(CDS\)",
        ),
    ],
)
def test_a_bad_file_is_one_clear_line(read, content, message):
    with pytest.raises(InputError, match=message):
        read(content)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.gtf: gene annotation not found; check input.genes"):
        read_genes(tmp_path / "nowhere.gtf")


# --- matching with expression ----------------------------------------------------------------------


def test_only_wanted_genes_are_kept(read):
    assert rows(read(GENCODE, gene_names=["B-B/2", "zzz"])) == [BBB]
    assert rows(read(GENCODE, gene_names=["ENSG1"])) == [AAA]
    assert rows(read(GENCODE, gene_names=["zzz"])) == []


def test_genes_are_matched_by_name_then_by_id_without_version(read):
    genes = read(GENCODE)
    matched, share = match_genes(genes, ["B-B/2", "old", "none"], ["ENSG9", "ENSG1.7", "ENSG8"])
    assert matched.gene.tolist() == ["B-B/2", "old"]
    assert matched.start.tolist() == [100, 10]
    assert share == pytest.approx(2 / 3)
    by_id, share = match_genes(genes, ["ENSG2.4", "ENSG1"])
    assert (by_id.gene.tolist(), by_id.start.tolist(), share) == (["ENSG2.4", "ENSG1"], [100, 10], 1.0)


def test_no_match_shows_both_sides(read):
    with pytest.raises(
        InputError, match=r"none of the 2 genes .* have aaa, bbb; .* has AAA, B-B/2 with ids ENSG1.5"
    ):
        match_genes(read(GENCODE), ["aaa", "bbb"])
