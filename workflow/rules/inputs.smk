"""Where the raw data come from, when they are not simply there."""


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
        "../../envs/grids.yaml"
    threads: 1
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
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        url=lambda wildcards: DOWNLOADS[wildcards.filename]["url"],
        checksum=lambda wildcards: DOWNLOADS[wildcards.filename]["checksum"],
        code=code_of("download"),
    script:
        "../scripts/download.py"
