"""GRIDS: sets of peaks whose joint perturbation moves a gene most, from single-cell multiome data."""

import atexit
import sys

from snakemake.utils import min_version

min_version("9.27")


# A user's config replaces the demo's, it is not merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/preprocessing.smk"
include: f"workflow/rules/{config['surrogate']['model']}_surrogate.smk"
include: "workflow/rules/gate.smk"
include: "workflow/rules/perturbation.smk"
include: "workflow/rules/redundancy.smk"
include: "workflow/rules/across.smk"
include: "workflow/rules/evidence.smk"
include: "workflow/rules/contacts.smk"
include: "workflow/rules/exports.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/benchmark_figures.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/truth.smk"
include: "workflow/rules/mnist.smk"
include: "workflow/rules/synthetic.smk"
include: "workflow/rules/scale.smk"


# What runs instead of a study.
BENCHMARK_TARGETS = {
    "truth": [rules.collect_truth.output, rules.figure_truth_benchmark.output],
    "mnist": MNIST,
    "synthetic": SYNTHETIC,
    "scale": SCALE,
}


rule all:
    default_target: True
    input:
        [targets for name, targets in BENCHMARK_TARGETS.items() if name in config]
        or [rules.tables_and_figures.input, "<results>/report.html"],
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
