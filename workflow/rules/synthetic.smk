"""The synthetic benchmark: explainers of functions whose best set is known."""

from grids.explainers.jobs import jobs

SYNTHETIC_JOBS = jobs(config["synthetic"]["methods"]) if "synthetic" in config else {}


wildcard_constraints:
    synthetic_job="|".join(re.escape(name) for name in SYNTHETIC_JOBS) or "nothing",


rule explain_synthetic:
    output:
        replicates="<results>/synthetic/methods/{synthetic_job}.tsv",
    log:
        "<results>/logs/explain_synthetic/{synthetic_job}.log",
    benchmark:
        "<results>/benchmarks/explain_synthetic/{synthetic_job}.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
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
        code=code_of("explain_synthetic"),
    script:
        "../scripts/explain_synthetic.py"


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
            caption="../report/synthetic_summary.rst",
            category="Synthetic benchmark",
            labels={"what": "Recovery and cost of every method, table"},
        ),
    log:
        "<results>/logs/collect_synthetic.log",
    benchmark:
        "<results>/benchmarks/collect_synthetic.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("collect_synthetic"),
    script:
        "../scripts/collect_synthetic.py"


rule figure_synthetic_recovery:
    input:
        summary="<results>/synthetic/summary.tsv",
    output:
        pdf="<results>/figures/synthetic_recovery.pdf",
        png="<results>/figures/synthetic_recovery.png",
        svg=report(
            "<results>/figures/synthetic_recovery.svg",
            caption="../report/synthetic_recovery.rst",
            category="Synthetic benchmark",
            labels={"what": "Recovery of known best sets, figure"},
        ),
    log:
        "<results>/logs/figure_synthetic_recovery.log",
    benchmark:
        "<results>/benchmarks/figure_synthetic_recovery.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("figure_synthetic_recovery"),
    script:
        "../scripts/figure_synthetic_recovery.py"


SYNTHETIC = [rules.collect_synthetic.output, rules.figure_synthetic_recovery.output]
