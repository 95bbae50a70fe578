"""From raw data, simulated or downloaded ones included, to the preprocessed multiome, and which peaks are near which gene."""


rule simulate:
    output:
        multiome="<results>/simulation/multiome.h5mu",
        genes="<results>/simulation/genes.bed.gz",
        truth="<results>/truth.tsv",
    log:
        "<results>/logs/simulate.log",
    benchmark:
        "<results>/benchmarks/simulate.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        simulation=config["input"].get("simulation"),
        seed=config["seed"],
        code=code_of("simulate"),
    script:
        "../scripts/simulate.py"


rule download:
    output:
        file="<results>/downloads/{filename}",
    log:
        "<results>/logs/download/{filename}.log",
    benchmark:
        "<results>/benchmarks/download/{filename}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        url=lambda wildcards: DOWNLOADS[wildcards.filename]["url"],
        checksum=lambda wildcards: DOWNLOADS[wildcards.filename]["checksum"],
        code=code_of("download"),
    script:
        "../scripts/download.py"


rule preprocess:
    input:
        unpack(input_files),
        markers=marker_file,
    output:
        multiome="<results>/preprocessed.h5mu",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        cells=shown(
            "quality_control/cells.tsv",
            "1. Data",
            "Steps of quality control",
            caption="quality_control_cells",
        ),
        metrics="<results>/quality_control/metrics.tsv.gz",
        harmonisation=shown(
            "quality_control/harmonisation.tsv",
            "1. Data",
            "How the inputs fit together",
        ),
        annotation="<results>/quality_control/annotation.tsv",
        tasks="<results>/tasks.tsv",
        skipped="<results>/quality_control/skipped.tsv",
    log:
        "<results>/logs/preprocess.log",
    benchmark:
        "<results>/benchmarks/preprocess.tsv"
    conda:
        ENVIRONMENT
    threads: THREADS
    resources:
        mem_mb=memory(3000, per_input_mb=25),
        runtime=minutes(20, per_input_mb=0.2),
    params:
        config={
            key: config[key]
            for key in ("seed", "input", "quality_control", "preprocessing")
        }
        | {"tasks": TASKS},
        stamps=stamps("input."),
        code=code_of("preprocess"),
    script:
        "../scripts/preprocess.py"


rule link_windows:
    input:
        accessibility="<results>/accessibility.tsv.gz",
        genes="<results>/genes.tsv.gz",
    output:
        windows="<results>/windows.tsv.gz",
    log:
        "<results>/logs/link_windows.log",
    benchmark:
        "<results>/benchmarks/link_windows.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=100),
        runtime=minutes(15, per_input_mb=0.5),
    params:
        windows=config["windows"],
        code=code_of("link_windows"),
    script:
        "../scripts/link_windows.py"


# Before anything slow: training waits for it.
rule check_feasibility:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        tasks="<results>/tasks.tsv",
        dropped="<results>/quality_control/skipped.tsv",
    output:
        feasibility=shown("feasibility.tsv", "1. Data", "Whether tasks can be tested"),
        testable=shown("testable_genes.tsv", "1. Data", "Genes that can be tested"),
    log:
        "<results>/logs/check_feasibility.log",
    benchmark:
        "<results>/benchmarks/check_feasibility.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=20),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        cell_types=lambda wildcards: list(CELL_TYPES.values()),
        code=code_of("check_feasibility"),
    script:
        "../scripts/check_feasibility.py"
