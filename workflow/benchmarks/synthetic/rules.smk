"""The synthetic benchmark: explainers of functions whose best set is known."""

from benchmarks.explainers.jobs import explainer_settings, jobs

SYNTHETIC_JOBS = jobs(config["synthetic"]["methods"])


wildcard_constraints:
    synthetic_job="|".join(re.escape(name) for name in SYNTHETIC_JOBS),


rule explain_synthetic:
    output:
        replicates="<results>/synthetic/methods/{synthetic_job}.tsv",
    log:
        "<results>/logs/explain_synthetic/{synthetic_job}.log",
    benchmark:
        "<results>/benchmarks/explain_synthetic/{synthetic_job}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        benchmark=lambda wildcards: {
            key: value
            for key, value in config["synthetic"].items()
            if key != "methods"
        },
        settings=lambda wildcards: explainer_settings(
            config, SYNTHETIC_JOBS[wildcards.synthetic_job]
        ),
        # One seed for all jobs: every method sees the same data.
        seed=config["seed"],
        code=code_of("synthetic/explain_synthetic"),
    script:
        "scripts/explain_synthetic.py"


rule collect_synthetic:
    input:
        replicates=expand(
            "<results>/synthetic/methods/{synthetic_job}.tsv",
            synthetic_job=SYNTHETIC_JOBS,
        ),
    output:
        replicates="<results>/synthetic/replicates.tsv.gz",
        summary=report(
            "<results>/synthetic/summary.tsv",
            caption="report/synthetic_summary.rst",
            category="Synthetic benchmark",
            labels={"what": "Recovery and cost of every method, table"},
        ),
    log:
        "<results>/logs/collect_synthetic.log",
    benchmark:
        "<results>/benchmarks/collect_synthetic.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("synthetic/collect_synthetic"),
    script:
        "scripts/collect_synthetic.py"


INSTEAD += [rules.collect_synthetic.output, drawn("synthetic_recovery")]
