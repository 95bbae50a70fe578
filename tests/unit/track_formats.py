"""Files for genome browsers, read by the rules of their formats: what breaks one fails an assertion.

BED, BEDPE and interact: https://genome.ucsc.edu/FAQ/FAQformat, https://genome.ucsc.edu/goldenPath/help/interact and
https://bedtools.readthedocs.io/en/latest/content/general-usage.html.
"""

import re

import numpy as np
import pandas as pd
import pybigtools

BED = [
    "chrom", "chromStart", "chromEnd", "name", "score", "strand", "thickStart", "thickEnd", "itemRgb", "blockCount",
    "blockSizes", "blockStarts",
]  # fmt: skip
BEDPE = ["chrom1", "start1", "end1", "chrom2", "start2", "end2", "name", "score", "strand1", "strand2"]
# UCSC's interact.as.
INTERACT = [
    "chrom", "chromStart", "chromEnd", "name", "score", "value", "exp", "color", "sourceChrom", "sourceStart",
    "sourceEnd", "sourceName", "sourceStrand", "targetChrom", "targetStart", "targetEnd", "targetName",
    "targetStrand",
]  # fmt: skip


def whole(text):
    assert re.fullmatch("0|[1-9][0-9]*", text), f"'{text}' is no whole number"
    return int(text)


def whole_list(text):
    return [whole(part) for part in text.removesuffix(",").split(",")]


def number(text):
    assert np.isfinite(float(text))
    return float(text)


def score(text):
    assert whole(text) <= 1000
    return int(text)


def strand(text):
    assert text in ("+", "-", ".")
    return text


def word(text):
    """What browsers take for one field, tabs or spaces."""
    assert text and not re.search(r"\s", text), f"'{text}' is no single word"
    return text


def colour(text):
    if not re.fullmatch("#[0-9A-Fa-f]{6}", text):
        red_green_blue = whole_list(text)
        assert len(red_green_blue) == 3 and max(red_green_blue) <= 255
    return text


KINDS = {
    **dict.fromkeys(("name", "exp", "sourceName", "targetName", "chrom", "chrom1", "chrom2"), word),
    **dict.fromkeys(("sourceChrom", "targetChrom"), word),
    **dict.fromkeys(("strand", "strand1", "strand2", "sourceStrand", "targetStrand"), strand),
    **dict.fromkeys(("itemRgb", "color"), colour),
    **dict.fromkeys(("blockSizes", "blockStarts"), whole_list),
    "score": score,
    "value": number,
}  # the others are whole numbers


def read_track_line(path):
    """The settings of the track line, which comes first."""
    line = path.read_text().splitlines()[0]
    assert line.startswith("track ")
    settings = dict(re.findall(r'(\w+)=("[^"]*"|\S+)', line))
    assert line == " ".join(["track", *(f"{key}={value}" for key, value in settings.items())])
    return {key: value.strip('"') for key, value in settings.items()}


def _read(path, columns):
    """Typed columns of the lines after track line and comments; those beyond the format's as text."""
    text = path.read_text()
    assert text.endswith("\n") and "\r" not in text
    header, *rows = [line for line in text.splitlines() if not line.startswith("track ")]
    names = header.removeprefix("#").split("\t")
    assert header.startswith("#") and names[: len(columns)] == columns
    fields = [row.split("\t") for row in rows]
    assert all(len(row) == len(names) and all(row) for row in fields)
    table = pd.DataFrame(fields, columns=names, dtype=object)
    return table.assign(**{name: list(map(KINDS.get(name, whole), table[name])) for name in columns})


def _is_sorted(table, columns):
    places = list(table[columns].itertuples(index=False, name=None))
    return places == sorted(places)


def read_bed(path, n_columns=6):
    """BED5, 6, 9 or 12, sorted as an index wants it."""
    assert n_columns in (5, 6, 9, 12)
    bed = _read(path, BED[:n_columns])
    assert list(bed) == BED[:n_columns] and _is_sorted(bed, BED[:3])
    for row in bed.itertuples():
        assert row.chromStart < row.chromEnd
        if n_columns >= 9:
            assert row.chromStart <= row.thickStart <= row.thickEnd <= row.chromEnd
        if n_columns == 12:
            assert row.blockCount == len(row.blockSizes) == len(row.blockStarts)
            ends = np.add(row.blockStarts, row.blockSizes)
            assert row.blockStarts[0] == 0 and ends[-1] == row.chromEnd - row.chromStart
            assert (ends[:-1] <= row.blockStarts[1:]).all()
    return bed


def read_bedpe(path):
    """BEDPE with whatever columns follow the format's ten."""
    bedpe = _read(path, BEDPE)
    assert (bedpe["start1"] < bedpe["end1"]).all() and (bedpe["start2"] < bedpe["end2"]).all()
    return bedpe


def read_interact(path):
    """UCSC's bed5+13: a record spans both ends, or, between chromosomes, is one of two that span one end each."""
    interact = _read(path, INTERACT)
    assert list(interact) == INTERACT and _is_sorted(interact, INTERACT[:3])
    assert read_track_line(path)["type"] == "interact"
    apart = set()
    for row in interact.itertuples(index=False):
        source = (row.sourceChrom, row.sourceStart, row.sourceEnd)
        target = (row.targetChrom, row.targetStart, row.targetEnd)
        place = (row.chrom, row.chromStart, row.chromEnd)
        assert all(start < end for _, start, end in (source, target, place))
        if row.sourceChrom == row.targetChrom:
            assert place == (row.chrom, min(source[1], target[1]), max(source[2], target[2]))
            assert row.chrom == row.sourceChrom
        else:
            assert place in (source, target)
            apart ^= {row[3:]}  # the other record has the same fields
    assert not apart
    return interact


def read_bigwig(path):
    """Chromosome sizes and the intervals: sorted, apart, within their chromosome."""
    intervals = []
    with pybigtools.open(str(path)) as file:
        sizes = dict(file.chroms())
        for chromosome, size in sizes.items():
            end = 0
            for start, stop, value in file.records(chromosome, 0, size):
                assert end <= start < stop <= size and np.isfinite(value)
                end = stop
                intervals.append((chromosome, start, stop, value))
    return sizes, intervals
