"""Links of peaks and genes, tested without a surrogate: all of them, and each window as a whole."""


rule link_peaks:
    input:
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
        genes="<results>/genes.tsv.gz",
    output:
        links="<results>/links/{cell_type}.tsv.gz",
        windows="<results>/links/{cell_type}.windows.tsv",
    log:
        "<results>/logs/link_peaks/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/link_peaks/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(4000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=1),
    params:
        cell_type=cell_type_of,
        seed=config["seed"],
        code=code_of("link_peaks"),
    script:
        "../scripts/link_peaks.py"


rule judge_windows:
    input:
        tests=per_cell_type("<results>/links/{cell_type}.windows.tsv"),
        tasks="<results>/tasks.tsv",
    output:
        windows="<results>/judged_windows.tsv.gz",
        tasks="<results>/promising_tasks.tsv",
    log:
        "<results>/logs/judge_windows.log",
    benchmark:
        "<results>/benchmarks/judge_windows.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        gate=config["gate"],
        code=code_of("judge_windows"),
    script:
        "../scripts/judge_windows.py"


rule collect_links:
    input:
        links=per_cell_type("<results>/links/{cell_type}.tsv.gz"),
        surrogates=per_cell_type("<results>/surrogate/{cell_type}.safetensors"),
        gate="<results>/gate.tsv",
    output:
        links="<results>/links.tsv.gz",
        strong=shown("strong_links.tsv", "2. Surrogate", "Links of peaks and genes"),
    log:
        "<results>/logs/collect_links.log",
    benchmark:
        "<results>/benchmarks/collect_links.tsv"
    conda:
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        code=code_of("collect_links"),
    script:
        "../scripts/collect_links.py"
