"""Everything a run yields, where it comes from, and the report that holds it."""


rule tables_and_figures:
    input:
        "<results>/summary.tsv",
        "<results>/summary.html",
        "<results>/feasibility.tsv",
        "<results>/testable_genes.tsv",
        "<results>/sets.tsv",
        "<results>/effects.tsv",
        "<results>/locations.tsv",
        "<results>/skipped.tsv",
        "<results>/windows.tsv.gz",
        "<results>/surrogate/quality.tsv",
        "<results>/gate.tsv",
        "<results>/links.tsv.gz",
        "<results>/strong_links.tsv",
        "<results>/redundancy.tsv",
        "<results>/members.tsv",
        "<results>/interactions.tsv",
        "<results>/knock_down.tsv",
        "<results>/alternative_sets.tsv",
        "<results>/specificity.tsv",
        ["<results>/state_redundancy.tsv"] if config["states"] else [],
        "<results>/atlas_summary.tsv",
        ["<results>/calibration.tsv"] if IS_CALIBRATED else [],
        ["<results>/evidence.tsv"] if config["evidence"] else [],
        CONTACT_TABLES,
        "<results>/explained.h5mu",
        "<results>/provenance.yaml",
        per_cell_type("<results>/tracks/{cell_type}.bed"),
        per_cell_type("<results>/tracks/{cell_type}.bedpe"),
        per_cell_type("<results>/tracks/{cell_type}.interact"),
        per_cell_type("<results>/tracks/{cell_type}.links.bedpe"),
        per_cell_type("<results>/tracks/{cell_type}.links.interact"),
        per_cell_type("<results>/tracks/{cell_type}.accessibility.bw"),
        [drawn(name) for name in FIGURES],
        per_cell_type("<results>/figures/locus/{cell_type}"),
        BESIDE,


# What came of the run: a table, and what `workflow/report/workflow.rst` shows on the first page.
rule summarise_tasks:
    input:
        feasibility="<results>/feasibility.tsv",
        testable="<results>/testable_genes.tsv",
        gate="<results>/gate.tsv",
        skipped="<results>/skipped.tsv",
        redundancy="<results>/redundancy.tsv",
        sets="<results>/sets.tsv",
        steps="<results>/quality_control/cells.tsv",
    output:
        summary=shown("summary.tsv", "1. Data", "What came of every task"),
        page="<results>/summary.html",
    log:
        "<results>/logs/summarise_tasks.log",
    benchmark:
        "<results>/benchmarks/summarise_tasks.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        config={
            key: config[key]
            for key in ("gate", "quality_control", "surrogate", "windows")
        },
        code=code_of("summarise_tasks"),
    script:
        "../scripts/summarise_tasks.py"


rule describe_provenance:
    input:
        results=described_results,
        files=lambda wildcards: list(described_files(wildcards).values()),
    output:
        provenance="<results>/provenance.yaml",
        page=report(
            "<results>/provenance.html",
            caption="../report/provenance.rst",
            category="7. Provenance",
            labels={"what": "Provenance, text"},
        ),
    log:
        "<results>/logs/describe_provenance.log",
    benchmark:
        "<results>/benchmarks/describe_provenance.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=minutes(10, per_input_mb=0.01),
    params:
        config=config,
        files=described_files,
        root=str(ROOT),
        stamps=stamps(""),
        code=code_of("describe_provenance"),
    script:
        "../scripts/describe_provenance.py"


# A rule rather than a handler: a report that is missing or out of date is made, whatever was run before.
rule make_report:
    input:
        rules.tables_and_figures.input,
    output:
        report="<results>/report.html",
    log:
        "<results>/logs/make_report.log",
    benchmark:
        "<results>/benchmarks/make_report.tsv"
    localrule: True
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        snakefile=workflow.main_snakefile,
        stylesheet=str(ROOT / "workflow" / "report" / "report.css"),
        config_files=lambda wildcards: CONFIG_FILES,
        config_args=lambda wildcards: CONFIG_ARGS,
        code=code_of("make_report"),
    script:
        "../scripts/make_report.py"
