"""Links as tracks, byte by byte."""

import numpy as np
import pandas as pd
import pytest

from grids.exports import link_tracks
from grids.io.errors import InputError

GENES = pd.DataFrame(
    {"gene": ["MOG", "HLA X"], "chromosome": ["chr6", "chr6"], "strand": ["+", "-"], "tss": [5000.0, 999.0]}
)
ACCESSIBILITY = pd.DataFrame(
    {
        "peak": ["p1", "p2", "p3"],
        "chromosome": ["chr6", "chr6", "chr7"],
        "start": [100, 6000, 50],
        "end": [300, 6500, 60],
    }
)
LINKS = pd.DataFrame(
    {
        "level": "within_type",
        "cell_type": ["Oligo", "Oligo", "Oligo", "L2/3"],
        "gene": ["MOG", "MOG", "HLA X", "MOG"],
        "peak": ["p2", "p1", "p3", "p1"],
        "class": ["distal", "promoter", "distal", "body"],
        "effect": [0.5, -0.25, np.nan, 1.0],
        "standard_error": [0.1, 0.1, np.nan, 0.1],
        "z": [5.0, -2.5, np.nan, 10.0],
        "p_value": [1e-6, 0.012, np.nan, 1e-9],
        "q_value": [1e-5, 0.03, np.nan, 1e-8],
        "inclusion": [0.9, np.nan, 0.6, 1.0],
        "credible_set": [1.0, np.nan, 0.0, 1.0],
    }
)


def lines(write, path):
    write(link_tracks.place_links(LINKS, ACCESSIBILITY), GENES, "Oligo", path)
    return path.read_text().splitlines()


def test_bedpe_has_a_line_per_link_of_the_type(tmp_path):
    header, *rows = lines(link_tracks.write_bedpe, tmp_path / "a.bedpe")
    assert header == (
        "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\tstrand1\tstrand2\tgene\tclass\teffect\t"
        "standard_error\tp_value\tq_value\tinclusion\tcredible_set\tcolor"
    )
    assert rows == [
        "chr6\t100\t300\tchr6\t5000\t5001\tMOG|promoter\t500\t.\t+\tMOG\tpromoter\t-0.25\t0.1\t0.012\t0.03\t.\t.\t213,94,0",
        "chr6\t6000\t6500\tchr6\t5000\t5001\tMOG|distal\t1000\t.\t+\tMOG\tdistal\t0.5\t0.1\t1e-06\t1e-05\t0.9\t1\t0,114,178",
        "chr7\t50\t60\tchr6\t999\t1000\tHLA_X|distal\t0\t.\t-\tHLA X\tdistal\t.\t.\t.\t.\t0.6\t0\t0,114,178",
    ]


def test_interact_spans_peak_and_start_site(tmp_path):
    track, header, *rows = lines(link_tracks.write_interact, tmp_path / "a.interact")
    assert (
        track.startswith('track name="Oligo links" description="Links of peaks and genes in Oligo')
        and "type=interact" in track
    )
    assert header.startswith("#chrom\tchromStart") and len(rows) == 4  # one between chromosomes is on both
    assert (
        "chr6\t5000\t6500\tMOG|distal\t1000\t0.5\twithin_type\t0,114,178\tchr6\t6000\t6500\tp2\t.\tchr6\t5000\t5001\tMOG\t+"
        in rows
    )


def test_without_links_there_are_headers(tmp_path):
    none = link_tracks.place_links(LINKS.iloc[:0], ACCESSIBILITY)
    for write, n in ((link_tracks.write_bedpe, 1), (link_tracks.write_interact, 2)):
        write(none, GENES, "Oligo", tmp_path / "a")
        assert len((tmp_path / "a").read_text().splitlines()) == n


def test_unknown_genes_are_told(tmp_path):
    links = link_tracks.place_links(LINKS.assign(gene="GAD67"), ACCESSIBILITY)
    with pytest.raises(InputError, match=r"a: no annotation for these genes: .*GAD67"):
        link_tracks.write_bedpe(links, GENES, "Oligo", tmp_path / "a")
