"""GRIDS: sets of peaks whose joint perturbation moves a gene most, from single-cell multiome data."""

import atexit
import sys

from snakemake.utils import min_version

min_version("9.27")


# A user's config replaces the demo's, it is not merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


# Benchmarks of the method, each in its folder of `workflow/benchmarks`, and the key of a config that asks for it.
GUESTS = {
    "explainers": "benchmark",
    "truth": "truth",
    "mnist": "mnist",
    "synthetic": "synthetic",
    "scale": "scale",
    "evidence": "evidence_benchmark",
}


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/links.smk"
include: f"workflow/rules/surrogate_{config['surrogate']['model']}.smk"
include: "workflow/rules/gate.smk"
include: "workflow/rules/sets.smk"
include: "workflow/rules/redundancy.smk"
include: "workflow/rules/across.smk"
include: "workflow/rules/calibration.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/contacts.smk"
include: "workflow/rules/exports.smk"
include: "workflow/rules/figures.smk"


for guest in ASKED:

    include: f"workflow/benchmarks/{guest}/rules.smk"


include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        INSTEAD or [rules.tables_and_figures.input, REPORT],
        "<results>/provenance.yaml",


onstart:
    try:
        check_writable(RESULTS, "the folder of the results")
    except InputError as error:
        raise SystemExit(error.report)


onsuccess:
    for line in font_warnings(f"{RESULTS}/logs", since=STARTED):
        print(f"warning: {line}", file=sys.stderr)
    if Path(REPORT).is_file() and Path(REPORT).stat().st_mtime >= STARTED:
        for line in last_words(RESULTS):
            print(line, file=sys.stderr)


onerror:
    # After Snakemake's own last words, so that this is what the user reads last.
    for line in reversed(
        ["What went wrong:", *what_went_wrong(f"{RESULTS}/logs", since=STARTED)]
    ):
        atexit.register(print, line, file=sys.stderr)
