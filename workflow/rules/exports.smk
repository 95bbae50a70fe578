"""Results for other tools: tracks for genome browsers, and the multiome with the results in it."""

# Tables that are stored in atac.uns["grids"] of the multiome, under these names.
EXPLAINED = [
    "sets",
    "effects",
    "redundancy",
    "members",
    "interactions",
    "specificity",
    *(["state_redundancy"] if config["states"] else []),
]


rule write_tracks:
    input:
        sets="<results>/sets.tsv",
        effects="<results>/effects.tsv",
        links="<results>/strong_links.tsv",
        genes="<results>/genes.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        bed="<results>/tracks/{cell_type}.bed",
        bedpe="<results>/tracks/{cell_type}.bedpe",
        interact="<results>/tracks/{cell_type}.interact",
        links_bedpe="<results>/tracks/{cell_type}.links.bedpe",
        links_interact="<results>/tracks/{cell_type}.links.interact",
        bigwig="<results>/tracks/{cell_type}.accessibility.bw",
    log:
        "<results>/logs/write_tracks/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/write_tracks/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1000, per_input_mb=20),
        runtime=minutes(10, per_input_mb=0.1),
    params:
        cell_type=cell_type_of,
        code=code_of("write_tracks"),
    script:
        "../scripts/write_tracks.py"


rule write_explained:
    input:
        **{name: f"<results>/{name}.tsv" for name in EXPLAINED},
        links="<results>/strong_links.tsv",
        multiome="<results>/preprocessed.h5mu",
        windows="<results>/windows.tsv.gz",
    output:
        multiome="<results>/explained.h5mu",
    log:
        "<results>/logs/write_explained.log",
    benchmark:
        "<results>/benchmarks/write_explained.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000, per_input_mb=5),
        runtime=minutes(15, per_input_mb=0.1),
    params:
        code=code_of("write_explained"),
    script:
        "../scripts/write_explained.py"
