"""The truth benchmark: methods against planted regulation, over levels and replicates."""

from benchmarks.truth.levels import datasets

TRUTH_DATASETS = datasets(config["truth"])
TRUTH_METHODS = config["truth"]["methods"]


wildcard_constraints:
    dataset="|".join(re.escape(name) for name in TRUTH_DATASETS),
    truth_method="|".join(re.escape(name) for name in TRUTH_METHODS),


rule simulate_truth:
    output:
        multiome=temp("<results>/truth/{dataset}/preprocessed.h5mu"),
        windows="<results>/truth/{dataset}/windows.tsv.gz",
        truth="<results>/truth/{dataset}/truth.tsv.gz",
    log:
        "<results>/logs/simulate_truth/{dataset}.log",
    benchmark:
        "<results>/benchmarks/simulate_truth/{dataset}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        level=lambda wildcards: TRUTH_DATASETS[wildcards.dataset],
        simulation={
            key: config["truth"][key]
            for key in (
                "n_genes_per_logic",
                "n_candidates",
                "mean_counts",
                "n_factors",
            )
        },
        seed=seed_for("simulate_truth"),
        code=code_of("truth/simulate_truth"),
    script:
        "scripts/simulate_truth.py"


rule run_truth_method:
    input:
        multiome="<results>/truth/{dataset}/preprocessed.h5mu",
        windows="<results>/truth/{dataset}/windows.tsv.gz",
        truth="<results>/truth/{dataset}/truth.tsv.gz",
    output:
        result="<results>/truth/{dataset}/{truth_method}.tsv.gz",
    log:
        "<results>/logs/run_truth_method/{dataset}/{truth_method}.log",
    benchmark:
        "<results>/benchmarks/run_truth_method/{dataset}/{truth_method}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=1),
    params:
        method=lambda wildcards: wildcards.truth_method,
        level=lambda wildcards: TRUTH_DATASETS[wildcards.dataset],
        seed=seed_for("run_truth_method"),
        code=code_of("truth/run_truth_method"),
    script:
        "scripts/run_truth_method.py"


rule collect_truth:
    input:
        results=expand(
            "<results>/truth/{dataset}/{truth_method}.tsv.gz",
            dataset=TRUTH_DATASETS,
            truth_method=TRUTH_METHODS,
        ),
        truth=expand("<results>/truth/{dataset}/truth.tsv.gz", dataset=TRUTH_DATASETS),
    output:
        genes="<results>/truth_genes.tsv.gz",
        summary=report(
            "<results>/truth_summary.tsv",
            caption="report/truth_summary.rst",
            category="Truth benchmark",
            labels={"what": "Recovery of planted regulation, table"},
        ),
        confusion="<results>/truth_confusion.tsv",
        calibration="<results>/truth_calibration.tsv",
        inclusion="<results>/truth_inclusion.tsv",
        credible="<results>/truth_credible.tsv",
        power="<results>/truth_power.tsv",
        page="<results>/truth_page.md",
    log:
        "<results>/logs/collect_truth.log",
    benchmark:
        "<results>/benchmarks/collect_truth.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        datasets=TRUTH_DATASETS,
        code=code_of("truth/collect_truth"),
    script:
        "scripts/collect_truth.py"


INSTEAD += [rules.collect_truth.output, drawn("truth_benchmark")]
