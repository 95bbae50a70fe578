"""Gene annotations in the dialects that people have."""

import gzip
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from grids.data.annotation import GENE_COLUMNS, match_genes, read_genes
from grids.io.errors import InputError

COLUMNS = [*GENE_COLUMNS, "gene_id", "gene_type"]

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
    assert list(genes.columns) == COLUMNS
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


# gene, transcript, exon: feature and attributes; the gene is AAA
OTHER_SITES = {
    "VEuPathDB": (
        ("protein_coding_gene", "ID=PF_1;Name=AAA;ebi_biotype=protein_coding"),
        ("mRNA", "ID=PF_1.1;Parent=PF_1"),
        ("exon", "ID=exon_1;Parent=PF_1.1;gene_id=PF_1"),
        "PF_1", "protein_coding",
    ),
    "VEuPathDB, noncoding": (
        ("ncRNA_gene", "ID=PF_1;Name=AAA"), ("rRNA", "ID=PF_1.1;Parent=PF_1"),
        ("exon", "ID=exon_1;Parent=PF_1.1"), "PF_1", "ncRNA",
    ),
    "VEuPathDB, pseudogene": (
        ("pseudogene", "ID=PF_1;Name=AAA"), ("pseudogenic_transcript", "ID=PF_1.1;Parent=PF_1"),
        ("exon", "Parent=PF_1.1"), "PF_1", "pseudogene",
    ),
    "BRAKER": (
        ("gene", "AAA"), ("transcript", "AAA.t1"), ("exon", 'transcript_id "AAA.t1"; gene_id "AAA";'), "AAA", "",
    ),
    "AUGUSTUS, GFF3": (
        ("gene", "ID=AAA;"), ("transcript", "ID=AAA.t1;Parent=AAA;"), ("exon", "Parent=AAA.t1;"), "AAA", "",
    ),
    "Phytozome": (
        ("gene", "ID=AAA.v2.1;Name=AAA;ancestorIdentifier=AT1G01010.TAIR9"),
        ("mRNA", "ID=AAA.1.v2.1;Name=AAA.1;pacid=1;longest=1;Parent=AAA.v2.1"),
        ("exon", "ID=AAA.1.v2.1.exon.1;Parent=AAA.1.v2.1;pacid=1"), "AAA.v2.1", "",
    ),
    "EnsemblPlants": (
        ("gene", "ID=gene:AT1G01010;Name=AAA;biotype=protein_coding;description=a%3B b;gene_id=AT1G01010"),
        ("mRNA", "ID=transcript:AT1G01010.1;Parent=gene:AT1G01010;transcript_id=AT1G01010.1"),
        ("exon", "Parent=transcript:AT1G01010.1;Name=AT1G01010.1.exon1"), "AT1G01010", "protein_coding",
    ),
    "RefSeq": (
        ("gene", "ID=gene-AAA-2;Dbxref=GeneID:1;Name=AAA;gbkey=Gene;gene=AAA;gene_biotype=lncRNA"),
        ("lnc_RNA", "ID=rna-NR_1;Parent=gene-AAA-2;gene=AAA;product=AAA%2C variant 1"),
        ("exon", "ID=exon-NR_1-1;Parent=rna-NR_1;gene=AAA"), "AAA-2", "lncRNA",
    ),
    "GenBank": (
        ("gene", "ID=gene0;Name=AAA;gbkey=Gene;gene=AAA;locus_tag=b0001"),
        ("mRNA", "ID=rna0;Parent=gene0;locus_tag=b0001"), ("exon", "ID=id1;Parent=rna0"), "b0001", "",
    ),
    "locus_tag only": (
        ("gene", "ID=gene0;locus_tag=AAA"), ("mRNA", "ID=rna0;Parent=gene0"), ("exon", "Parent=rna0"), "AAA", "",
    ),
    "SGD": (
        ("gene", "ID=YAL068C;Name=YAL068C;gene=AAA;Alias=AAA"), ("mRNA", "ID=YAL068C_mRNA;Parent=YAL068C"),
        ("exon", "Parent=YAL068C_mRNA"), "YAL068C", "",
    ),
    "own file, gene repeats the id": (
        ("gene", "ID=G1;Name=AAA;gene=G1"), ("mRNA", "ID=t1;Parent=G1"), ("exon", "Parent=t1"), "G1", "",
    ),
    "WormBase": (
        ("gene", "ID=Gene:WBGene1;Name=AAA;biotype=protein_coding"),
        ("mRNA", "ID=Transcript:t1;Parent=Gene:WBGene1"), ("exon", "Parent=Transcript:t1"), "WBGene1",
        "protein_coding",
    ),
    "two parents, encoded": (
        ("gene", "ID=g%2C1;Name=AAA"), ("mRNA", "ID=t%2C1;Parent=g%2C1"), ("exon", "Parent=t%2C1,t2"), "g,1", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("site", OTHER_SITES)
def test_files_of_other_sites(read, site, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    *lines, gene_id, gene_type = OTHER_SITES[site]
    text = gtf(*(gene_line("1", 11, 60, "-", attributes, feature) for feature, attributes in lines))
    assert rows(read(text)) == [["AAA", "1", 10, 60, "-", 59, "10", "60", gene_id, gene_type]]
    assert not caplog.records


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ("ID=g1;Name=A%2Cb", "A,b"),
        ("ID=g1;Name=A%3Bb;Note=x", "A;b"),
        ("ID=g1;Name=%CE%B2-catenin", "β-catenin"),
        ("ID=g1;Name=50%", "50%"),
        ('gene_id "g1"; gene_name "A%2Cb";', "A%2Cb"),
    ],
)
def test_values_are_percent_encoded_in_gff3_only(read, attributes, name):
    assert read(gtf(gene_line("1", 5, 9, "+", attributes))).gene.tolist() == [name]


def test_gff3_lines_without_a_known_parent_are_counted_in_the_log(read, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("grids"), "propagate", True)
    text = gtf(
        gene_line("1", 1, 60, "+", "ID=g;Name=AAA"), gene_line("1", 1, 9, "+", "Parent=nobody", "exon")
    )  # fmt: skip
    assert rows(read(text))[0][6] == ""
    assert "1 lines name neither a gene nor a known parent" in caplog.text


# --- rows of one gene ------------------------------------------------------------------------------


def test_near_rows_of_one_gene_are_merged_and_far_ones_are_places_of_their_own(read):
    text = "".join(
        f"chr{chromosome}\t{start}\t{start + 100}\t{name}\t0\t{strand}\n"
        for chromosome, start, name, strand in [
            (2, 500, "NEAR", "-"), (2, 900_000, "NEAR", "-"), (2, 1_900_099, "NEAR", "-"),
            (3, 500, "FAR", "+"), (3, 1_000_600, "FAR", "+"),
        ]
    )  # fmt: skip
    genes = read(text, "genes.bed")
    assert genes[["gene", "chromosome", "start", "end", "tss"]].to_numpy().tolist() == [
        ["NEAR", "chr2", 500, 1_900_199, 1_900_198],
        ["FAR", "chr3", 500, 600, 500],
        ["FAR", "chr3", 1_000_600, 1_000_700, 1_000_600],
    ]


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


SPELLINGS = {
    "+": ["+", "1", "+1", "1.0", "plus", "forward", "Fwd", "positive"],
    "-": ["-", "-1", "-1.0", "−", "minus", "reverse", "REV", "negative"],
    ".": [".", "?", "*", "NA", ""],
}
# Where the strand may be: the header, and the line around it.
LAYOUTS = {
    "BED6": (None, "{c}\t{s}\t{e}\t{n}\t{x}\t{strand}"),
    "BED9": (None, "{c}\t{s}\t{e}\t{n}\t{x}\t{strand}\t0\t0\t0"),
    "strand and score exchanged": (None, "{c}\t{s}\t{e}\t{n}\t{sign}\t{x}"),
    "commented header": (
        "#chr\tstart\tend\tname\tstrand\tgene_type",
        "{c}\t{s}\t{e}\t{n}\t{strand}\tlncRNA",
    ),
    "header, other order": (
        "gene_name\tChrom\tStrand\tStart\tEnd\tscore",
        "{n}\t{c}\t{strand}\t{s}\t{e}\t{x}",
    ),
    "strand far behind": (
        "#chrom\tstart\tend\tname\tscore\tthick\trgb\tstrand",
        "{c}\t{s}\t{e}\t{n}\t{x}\t-\t+\t{strand}",
    ),
    "header of four": ("#chr\tstart\tend\tname", "{c}\t{s}\t{e}\t{n}\t{x}\t{strand}"),
    "quotes, as R writes them": (
        '"seqid"\t"start"\t"end"\t"strand"\t"symbol"',
        '"{c}"\t{s}\t{e}\t"{strand}"\t"{n}"',
    ),
    "GRanges of R": ("seqnames\tstart\tend\twidth\tstrand\tgene_name", "{c}\t{s1}\t{e}\t{w}\t{strand}\t{n}"),
    "UCSC": ("#name\tchrom\tstrand\ttxStart\ttxEnd\tscore\tname2", "NM_1\t{c}\t{strand}\t{s}\t{e}\t0\t{n}"),
    "BioMart": (
        "Gene stable ID\tGene name\tChromosome/scaffold name\tGene start (bp)\tGene end (bp)\tStrand",
        "\t{n}\t{c}\t{s1}\t{e}\t{strand}",
    ),
    "biomaRt": (
        '"hgnc_symbol","chromosome_name","start_position","end_position","strand"'.replace(",", "\t"),
        '"{n}"\t"{c}"\t{s1}\t{e}\t{strand}',
    ),
}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    genes=st.lists(st.tuples(st.sampled_from("+-."), st.integers(0, 9), st.integers(1, 99)), min_size=1),
    score=st.sampled_from(["0", "1", "-1", "1000", "."]),
    data=st.data(),
)
def test_any_spelling_in_any_layout_gives_the_start_sites_of_a_bed6(read, layout, genes, score, data):
    header, line = LAYOUTS[layout]
    # Without a header, exchanged columns can be told by their signs only, and not if all strands are unknown.
    signs = "{sign}" in line
    genes = [("+", 0, 5), *genes] if signs else genes
    plain, other = [], [] if header is None else [header]
    for i, (strand, spelling, width) in enumerate(genes):
        spelled = SPELLINGS[strand][spelling % len(SPELLINGS[strand])]
        start = 1_000 * (i + 1)
        plain.append(f"chr1\t{start}\t{start + width}\tG{i}\t0\t{strand}")
        values = {"c": "chr1", "s": start, "s1": start + 1, "e": start + width, "w": width, "n": f"G{i}"}
        other.append(line.format(x=score, strand=spelled, sign=strand, **values))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    columns = ["gene", "chromosome", "start", "end", "strand", "tss"]
    expected, found = (read(e.join([*t, ""]), "g.bed")[columns] for t, e in [(plain, "\n"), (other, end)])
    assert found.to_numpy().tolist() == expected.to_numpy().tolist()


@pytest.mark.parametrize(
    ("fifth", "strands"),
    [
        (["+", "-", "-"], "+--"),
        (["-"], "-"),
        (["1", "-1", "."], "+-."),
        (["forward", "reverse"], "+-"),
        (["1", "1"], ".."),  # a score
        (["0", "-1", "1"], "..."),
        (["12.5", "-1"], ".."),
        (["ENSG1", "ENSG2"], ".."),
        ([".", "."], ".."),
        (["", ""], ".."),
    ],
)
def test_column_five_is_the_strand_if_the_whole_file_says_so(read, fifth, strands):
    lines = [f"chr1\t{i}\t{i + 9}\tG{i}\t{text}\n" for i, text in enumerate(fifth)]
    assert "".join(read("".join(lines), "g.bed").strand) == strands


def test_column_six_is_the_strand_where_both_hold_signs(read):
    assert read("chr1\t5\t9\tA\t+\t-\nchr1\t15\t19\tB\t-\t+\n", "g.bed").strand.tolist() == ["-", "+"]


@pytest.mark.parametrize("sixth", [".", "?", "+"])
def test_numbers_in_column_five_are_scores_where_there_is_a_column_six(read, sixth):
    lines = [f"chr1\t{i}\t{i + 9}\tG{i}\t{score}\t{sixth}\n" for i, score in enumerate([1, -1, 1])]
    assert set(read("".join(lines), "g.bed").strand) == {sixth.replace("?", ".")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t5\t9\tA\t0\t+\nchr1\t5\t9\tB\t0\tprotein_coding\n", "line 2: 'protein_coding' in column 6 is no"),
        ("chr1\t5\t9\tA\tENSG1\tlncRNA\n", r"line 1: 'lncRNA' in column 6 .*name the columns in a first line"),
        ("chr1\t5\t9\tA\t0\t0\n", "line 1: '0' in column 6 is no strand"),
        ("chr1\t5\t9\tA\t+\n\nchr1\t5\t9\tB\t7\n", "line 3: '7' in column 5 is no strand"),
        ("#chr\tstart\tend\tname\tstrand\nchr1\t5\t9\tA\t+\nchr1\t5\t9\tB\t2\n", "line 3: '2' in column 5"),
        (gtf(gene_line(1, 5, 9, "+", "gene_id A;"), gene_line(1, 5, 9, "0", "gene_id B;")), "line 2: '0' in column 7"),
    ],
)  # fmt: skip
def test_what_is_no_strand_is_refused_with_its_line(read, text, message):
    with pytest.raises(InputError, match=message):
        read(text)


@pytest.mark.parametrize(
    ("strand", "expected"), [("1", "+"), ("-1", "-"), ("+1", "+"), ("?", "."), (".", ".")]
)
def test_strands_of_gtf(read, strand, expected):
    text = gtf(gene_line("1", 5, 9, strand, "gene_id A;"), gene_line("1", 15, 19, "-", "gene_id B;"))
    assert read(text).strand.tolist() == [expected, "-"]


def test_a_gene_without_name_in_a_table_is_called_by_its_id(read):
    text = "Gene stable ID\tGene name\tChromosome/scaffold name\tGene start (bp)\tGene end (bp)\nENSG1\t\t1\t5\t9\n"
    assert rows(read(text)) == [["ENSG1", "1", 4, 9, ".", 4, "", "", "ENSG1", ""]]


def test_a_commented_header_of_a_gtf_makes_no_bed_of_it(read):
    for header in (
        "#seqname source feature start end",
        "#chr\tsource\ttype\tstart\tend\tscore\tstrand\tphase",
    ):
        assert rows(read(header + "\n" + GENCODE)) == [AAA, BBB]


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


def table(*rows):
    """Genes as read_genes gives them: gene, chromosome, start, end, strand, gene_id, gene_type."""
    columns = ["gene", "chromosome", "start", "end", "strand", "gene_id", "gene_type"]
    genes = pd.DataFrame(rows, columns=columns)
    tss = np.where(genes.strand == "-", genes.end - 1, genes.start)
    exons = {"exon_starts": genes.start.astype(str), "exon_ends": genes.end.astype(str)}
    return genes.assign(tss=tss, **exons)[COLUMNS]


def places(genes):
    """gene -> chromosome:start-end; fails where a gene is there twice."""
    assert genes.gene.is_unique
    spans = zip(genes.chromosome, genes.start, genes.end, strict=True)
    return dict(zip(genes.gene, (f"{c}:{s}-{e}" for c, s, e in spans), strict=True))


def test_genes_are_matched_by_id_without_version_and_the_rest_by_name(read):
    genes = read(GENCODE)
    match = match_genes(genes, ["B-B/2", "old", "none"], ["ENSG9", "ENSG1.7", "ENSG8"])
    assert places(match.found) == {"B-B/2": "chr1:100-200", "old": "chr1:10-60"}
    assert match.others.empty and not match.ambiguous
    by_id = match_genes(genes, ["ENSG2.4", "ENSG1"])
    assert places(by_id.found) == {"ENSG2.4": "chr1:100-200", "ENSG1": "chr1:10-60"}


@pytest.mark.parametrize(
    ("of_rna", "of_annotation", "same"),
    [
        ("ENSG00000000003", "ENSG00000000003.15", True),
        ("ENSG00000000003.14", "ENSG00000000003.15", True),
        ("gene:AT1G01010", "AT1G01010", True),
        ("PF3D7_0100100.1", "PF3D7_0100100", True),
        ("ENSG00000182378", "ENSG00000182378.14_PAR_Y", False),
        ("AC012345.1", "AC012345.2", False),  # clones
        ("CAAA01118383.1", "CAAA01118383.2", False),
        ("MSTRG.1", "MSTRG.2", False),  # numbers of genes
    ],
)
def test_which_ids_are_one(of_rna, of_annotation, same):
    genes = table(("OTHER", "chr1", 5, 9, "+", "E0", ""), ("NEW", "chr2", 5, 9, "+", of_annotation, ""))
    match = match_genes(genes, ["OTHER", "OLD"], ["", of_rna])
    assert ("OLD" in set(match.found.gene)) == same


def test_the_id_says_which_of_several_places_is_meant():
    # CDY1 is in Cell Ranger ARC's references at several places; names are made unique as scanpy does
    genes = table(
        *((name, "chrY", start, start + 50, "+", f"E{start}", "protein_coding")
          for name, start in [("CDY1", 100), ("DAZ1", 200), ("CDY1", 5_000_300), ("CDY1", 9_000_400)])
    )  # fmt: skip
    match = match_genes(genes, ["CDY1", "CDY1-1", "DAZ1"], ["E5000300", "E100", "E200"])
    assert places(match.found) == {
        "CDY1": "chrY:5000300-5000350", "CDY1-1": "chrY:100-150", "DAZ1": "chrY:200-250",
    }  # fmt: skip
    assert places(match.others) == {"E9000400": "chrY:9000400-9000450"}
    assert match.ambiguous == {} and match.n_nameless == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_name_at_several_places_is_not_located_whatever_the_order(turned):
    genes = table(
        ("X", "chr1", 5_000, 9_000, "+", "E1", "protein_coding"),
        ("A", "chr1", 20, 30, "+", "E2", ""),
        ("X", "chr1", 2_257_375, 2_274_639, "-", "E3", "protein_coding"),
    )
    match = match_genes(genes[::-1] if turned else genes, ["X", "A", "X-1"])
    assert places(match.found) == {"A": "chr1:20-30"}
    assert match.ambiguous == {"X": "chr1:5000-9000 (E1), chr1:2257375-2274639 (E3)"}
    # Both stay in the annotation, under what only they are called.
    assert places(match.others) == {"E1": "chr1:5000-9000", "E3": "chr1:2257375-2274639"}


def test_places_that_nothing_tells_apart_are_counted():
    genes = table(
        ("X", "chr1", 5, 9, "+", "X", ""),
        ("X", "chr2", 5, 9, "+", "X", ""),
        ("A", "chr1", 5, 9, "+", "A", ""),
    )
    match = match_genes(genes, ["A", "X"])
    assert (places(match.found), len(match.others), match.n_nameless) == ({"A": "chr1:5-9"}, 0, 2)
    assert match.ambiguous == {"X": "chr1:5-9, chr2:5-9"}
    assert match_genes(genes, ["A"]).n_nameless == 2


def test_a_place_that_a_gene_has_by_id_is_no_other_genes():
    genes = table(("NEW", "chr1", 5, 9, "+", "E1", ""), ("B", "chr2", 5, 9, "+", "E2", ""))
    match = match_genes(genes, ["NEW", "OLD"], ["E9", "E1"])
    assert places(match.found) == {"OLD": "chr1:5-9"} and not match.ambiguous


CODING, LONG = "protein_coding", "lncRNA"
REST = ("A", "chr1", 20, 30, "+", "E0", CODING)


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        # a protein-coding gene wins over others of its name, wherever they stand
        ([("chr1", 5, 90, "+", LONG), ("chr5", 5, 99, "+", CODING)], "chr5:5-99"),
        ([("chr1", 5, 90, "+", "protein-coding"), ("chr1", 50, 70, "-", LONG)], "chr1:5-90"),
        # genes that overlap are one place
        ([("chr1", 50, 90, "-", CODING), ("chr1", 5, 51, "-", CODING)], "chr1:5-90"),
        ([("chr1", 5, 50, "-", CODING), ("chr1", 50, 90, "-", CODING)], None),
        ([("chr1", 5, 90, "-", CODING), ("chr1", 5, 90, "+", CODING)], None),
        # pseudo-autosomal genes
        ([("Y", 5, 90, "+", CODING), ("X", 25, 110, "+", CODING)], "X:25-110"),
        ([("Y", 5, 90, "+", CODING), ("X", 25, 110, "-", CODING)], None),
        ([("Y", 5, 90, "+", ""), ("X", 25, 110, "+", ""), ("chr1", 5, 9, "+", "")], None),
        # contigs without peaks; a chromosome may be missing from the peaks because it was left out
        ([("chr1", 5, 90, "+", ""), ("chr1_KI270706v1_random", 5, 90, "+", "")], "chr1:5-90"),
        ([("chr1", 5, 90, "+", ""), ("CHR_HSCHR6_MHC_COX_CTG1", 5, 90, "+", "")], "chr1:5-90"),
        ([("chr1", 5, 90, "+", LONG), ("CHR_HSCHR6_MHC_COX_CTG1", 5, 90, "+", CODING)], "chr1:5-90"),
        ([("chr1", 5, 90, "+", ""), ("chrUn_x", 5, 90, "+", "")], None),
        ([("chr1", 5, 90, "+", ""), ("chr7", 5, 90, "+", "")], None),
    ],
)
def test_a_place_is_preferred_by_its_kind_only(rows, place):
    rows = [("X", *row[:4], f"E{i + 1}", row[4]) for i, row in enumerate(rows)]
    for order in (rows, rows[::-1]):
        match = match_genes(table(REST, *order), ["A", "X"], contigs=["chr1", "chrUn_x"])
        assert places(match.found).get("X") == place and ("X" in match.ambiguous) == (place is None)
        # Nothing is lost: what is not this place keeps its own, under its id.
        spans = set(places(match.others).values()) | set(places(match.found).values())
        assert {f"{row[1]}:{row[2]}-{row[3]}" for row in rows} <= spans | {"chr1:50-90", "chr1:5-51"}


def test_genes_that_are_one_place_become_one_row_with_all_exons():
    genes = table(("X", "chr1", 50, 90, "-", "E1", CODING), ("X", "chr1", 5, 51, "-", "E2", CODING))
    (row,) = match_genes(genes, ["X"]).found.to_dict("records")
    assert (row["start"], row["end"], row["tss"]) == (5, 90, 89)
    assert (row["exon_starts"], row["exon_ends"]) == ("5", "90")


def test_no_match_shows_both_sides(read):
    with pytest.raises(
        InputError, match=r"none of the 2 genes .* have aaa, bbb; .* has AAA, B-B/2 with ids ENSG1.5"
    ):
        match_genes(read(GENCODE), ["aaa", "bbb"])
