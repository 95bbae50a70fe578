"""Sets and accessibility as tracks for genome browsers."""


rule write_tracks:
    input:
        sets="<results>/sets.tsv",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        bed="<results>/tracks/{cell_type}.bed",
        bedpe="<results>/tracks/{cell_type}.bedpe",
        bigwig="<results>/tracks/{cell_type}.accessibility.bw",
    log:
        "<results>/logs/write_tracks/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/write_tracks/{cell_type}.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(1000, per_input_mb=20),
        runtime=minutes(10, per_input_mb=0.1),
    params:
        cell_type=cell_type_of,
        code=code_of("write_tracks"),
    script:
        "../scripts/write_tracks.py"
