"""Figures, each as PDF, PNG and SVG, which goes into the report: plain ones from tables, and the loci."""

# What a run has, by the words of the tables of figures.
HAS = {
    config["surrogate"]["model"]: True,
    "simulation": config["input"].get("simulation") is not None,
    "states": bool(config["states"]),
    "calibration": IS_CALIBRATED,
    "evidence": bool(config["evidence"]),
    "contacts": HAS_CONTACTS,
}
FIGURES = plain_figures(HAS)


for figure_name, figure in FIGURES.items():

    rule:
        name:
            f"figure_{figure_name}"
        input:
            **{key: f"<results>/{path}" for key, path in figure["inputs"].items()},
        output:
            pdf=f"<results>/figures/{figure_name}.pdf",
            png=f"<results>/figures/{figure_name}.png",
            svg=report(
                f"<results>/figures/{figure_name}.svg",
                caption=figure["caption"],
                category=figure["category"],
                subcategory=figure.get("subcategory"),
                labels={"what": f"{figure['label']}, figure"},
            ),
        log:
            f"<results>/logs/figure_{figure_name}.log",
        benchmark:
            f"<results>/benchmarks/figure_{figure_name}.tsv"
        conda:
            ENVIRONMENT
        resources:
            **OF_TABLES,
        params:
            drawing=figure["drawing"],
            options={
                argument: lookup(key, within=config)
                for argument, key in figure.get("options", {}).items()
            },
            code=code_of("figure", figure["drawing"]),
        script:
            "../scripts/figure.py"


rule figure_locus:
    input:
        sets="<results>/sets.tsv",
        genes="<results>/genes.tsv.gz",
        windows="<results>/windows.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        alternatives="<results>/alternative_sets.tsv",
        contacts=file_of("contacts", "map"),
        tads=file_of("contacts", "tads"),
    output:
        folder=report(
            directory("<results>/figures/locus/{cell_type}"),
            patterns=["{gene}.svg"],
            caption="../report/locus.rst",
            category="3. Sets and effects",
            subcategory=lambda wildcards: f"Loci, {label_of(wildcards)}",
            labels=lambda wildcards: {
                "what": f"{label(unescape(wildcards.gene))}, {label_of(wildcards)}"
            },
        ),
    log:
        "<results>/logs/figure_locus/{cell_type}.log",
    benchmark:
        "<results>/benchmarks/figure_locus/{cell_type}.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(30, per_input_mb=0.5),
    params:
        cell_type=cell_type_of,
        resolution_bp=config["contacts"]["resolution_bp"],
        assembly=config["input"].get("assembly"),
        stamps=stamps("contacts."),
        code=code_of("figure_locus"),
    script:
        "../scripts/figure_locus.py"
