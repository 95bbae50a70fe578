"""Figures: each as PDF, PNG and SVG; the SVG goes into the report."""


rule figure_quality_control:
    input:
        cells="<results>/quality_control/cells.tsv",
        metrics="<results>/quality_control/metrics.tsv.gz",
    output:
        pdf="<results>/figures/quality_control.pdf",
        png="<results>/figures/quality_control.png",
        svg=report(
            "<results>/figures/quality_control.svg",
            caption="../report/quality_control.rst",
            category="1. Data",
            labels={"what": "Quality control, figure"},
        ),
    log:
        "<results>/logs/figure_quality_control.log",
    benchmark:
        "<results>/benchmarks/figure_quality_control.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        thresholds=config["quality_control"],
        code=code_of("figure_quality_control"),
    script:
        "../scripts/figure_quality_control.py"


rule figure_training_curves:
    input:
        curves="<results>/surrogate/curves.tsv",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/training_curves.pdf",
        png="<results>/figures/training_curves.png",
        svg=report(
            "<results>/figures/training_curves.svg",
            caption="../report/training_curves.rst",
            category="2. Surrogate",
            labels={"what": "Training curves, figure"},
        ),
    log:
        "<results>/logs/figure_training_curves.log",
    benchmark:
        "<results>/benchmarks/figure_training_curves.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_training_curves"),
    script:
        "../scripts/figure_training_curves.py"


rule figure_surrogate_quality:
    input:
        quality="<results>/surrogate/quality.tsv",
        tasks="<results>/tasks.tsv",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/surrogate_quality.pdf",
        png="<results>/figures/surrogate_quality.png",
        svg=report(
            "<results>/figures/surrogate_quality.svg",
            caption="../report/surrogate_quality.rst",
            category="2. Surrogate",
            labels={"what": "Quality on test cells, figure"},
        ),
    log:
        "<results>/logs/figure_surrogate_quality.log",
    benchmark:
        "<results>/benchmarks/figure_surrogate_quality.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_surrogate_quality"),
    script:
        "../scripts/figure_surrogate_quality.py"


rule figure_latent_umap:
    input:
        latent="<results>/surrogate/latent.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/latent_umap.pdf",
        png="<results>/figures/latent_umap.png",
        svg=report(
            "<results>/figures/latent_umap.svg",
            caption="../report/latent_umap.rst",
            category="2. Surrogate",
            labels={"what": "Latent states of both modalities, figure"},
        ),
    log:
        "<results>/logs/figure_latent_umap.log",
    benchmark:
        "<results>/benchmarks/figure_latent_umap.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_latent_umap"),
    script:
        "../scripts/figure_latent_umap.py"


rule figure_regularisation_path:
    input:
        path="<results>/surrogate/regularisation.tsv",
    output:
        pdf="<results>/figures/regularisation_path.pdf",
        png="<results>/figures/regularisation_path.png",
        svg=report(
            "<results>/figures/regularisation_path.svg",
            caption="../report/regularisation_path.rst",
            category="2. Surrogate",
            labels={"what": "Regularisation chosen on validation cells, figure"},
        ),
    log:
        "<results>/logs/figure_regularisation_path.log",
    benchmark:
        "<results>/benchmarks/figure_regularisation_path.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_regularisation_path"),
    script:
        "../scripts/figure_regularisation_path.py"


rule figure_gate:
    input:
        gate="<results>/gate.tsv",
        tasks="<results>/tasks.tsv",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/gate.pdf",
        png="<results>/figures/gate.png",
        svg=report(
            "<results>/figures/gate.svg",
            caption="../report/gate.rst",
            category="2. Surrogate",
            labels={"what": "Genes that pass the quality gate, figure"},
        ),
    log:
        "<results>/logs/figure_gate.log",
    benchmark:
        "<results>/benchmarks/figure_gate.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        threshold=config["gate"]["q_value"],
        code=code_of("figure_gate"),
    script:
        "../scripts/figure_gate.py"


rule figure_effect_against_null:
    input:
        effects="<results>/effects.tsv",
        null="<results>/null.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/effect_against_null.pdf",
        png="<results>/figures/effect_against_null.png",
        svg=report(
            "<results>/figures/effect_against_null.svg",
            caption="../report/effect_against_null.rst",
            category="3. Sets and effects",
            subcategory="All tasks",
            labels={"what": "Effect against matched random sets, figure"},
        ),
    log:
        "<results>/logs/figure_effect_against_null.log",
    benchmark:
        "<results>/benchmarks/figure_effect_against_null.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_effect_against_null"),
    script:
        "../scripts/figure_effect_against_null.py"


rule figure_before_after:
    input:
        cells="<results>/cells.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/before_after.pdf",
        png="<results>/figures/before_after.png",
        svg=report(
            "<results>/figures/before_after.svg",
            caption="../report/before_after.rst",
            category="3. Sets and effects",
            subcategory="All tasks",
            labels={"what": "Expression before and after, figure"},
        ),
    log:
        "<results>/logs/figure_before_after.log",
    benchmark:
        "<results>/benchmarks/figure_before_after.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_before_after"),
    script:
        "../scripts/figure_before_after.py"


rule figure_effect_by_set_size:
    input:
        effects="<results>/effects.tsv",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/effect_by_set_size.pdf",
        png="<results>/figures/effect_by_set_size.png",
        svg=report(
            "<results>/figures/effect_by_set_size.svg",
            caption="../report/effect_by_set_size.rst",
            category="3. Sets and effects",
            subcategory="All tasks",
            labels={"what": "Effect by set size, figure"},
        ),
    log:
        "<results>/logs/figure_effect_by_set_size.log",
    benchmark:
        "<results>/benchmarks/figure_effect_by_set_size.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_effect_by_set_size"),
    script:
        "../scripts/figure_effect_by_set_size.py"


rule figure_member_locations:
    input:
        sets="<results>/sets.tsv",
        genes="<results>/genes.tsv.gz",
        windows="<results>/windows.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/member_locations.pdf",
        png="<results>/figures/member_locations.png",
        svg=report(
            "<results>/figures/member_locations.svg",
            caption="../report/member_locations.rst",
            category="3. Sets and effects",
            subcategory="All tasks",
            labels={"what": "Where members lie, figure"},
        ),
    log:
        "<results>/logs/figure_member_locations.log",
    benchmark:
        "<results>/benchmarks/figure_member_locations.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_member_locations"),
    script:
        "../scripts/figure_member_locations.py"


rule figure_set_recovery:
    input:
        truth="<results>/truth.tsv",
        sets="<results>/sets.tsv",
    output:
        pdf="<results>/figures/set_recovery.pdf",
        png="<results>/figures/set_recovery.png",
        svg=report(
            "<results>/figures/set_recovery.svg",
            caption="../report/set_recovery.rst",
            category="3. Sets and effects",
            subcategory="All tasks",
            labels={"what": "Planted members found, figure"},
        ),
    log:
        "<results>/logs/figure_set_recovery.log",
    benchmark:
        "<results>/benchmarks/figure_set_recovery.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_set_recovery"),
    script:
        "../scripts/figure_set_recovery.py"


rule figure_locus:
    input:
        sets="<results>/sets.tsv",
        genes="<results>/genes.tsv.gz",
        windows="<results>/windows.tsv.gz",
        accessibility="<results>/accessibility.tsv.gz",
        alternatives="<results>/alternative_sets.tsv",
        contacts=contact_map,
        tads=tad_file,
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
        "../../envs/grids.yaml"
    threads: 1
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


rule figure_redundancy_index:
    input:
        redundancy="<results>/redundancy.tsv",
    output:
        pdf="<results>/figures/redundancy_index.pdf",
        png="<results>/figures/redundancy_index.png",
        svg=report(
            "<results>/figures/redundancy_index.svg",
            caption="../report/redundancy_index.rst",
            category="4. Redundancy",
            labels={"what": "Redundancy index, figure"},
        ),
    log:
        "<results>/logs/figure_redundancy_index.log",
    benchmark:
        "<results>/benchmarks/figure_redundancy_index.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_redundancy_index"),
    script:
        "../scripts/figure_redundancy_index.py"


rule figure_member_effects:
    input:
        members="<results>/members.tsv",
    output:
        pdf="<results>/figures/member_effects.pdf",
        png="<results>/figures/member_effects.png",
        svg=report(
            "<results>/figures/member_effects.svg",
            caption="../report/member_effects.rst",
            category="4. Redundancy",
            labels={"what": "Members alone and in context, figure"},
        ),
    log:
        "<results>/logs/figure_member_effects.log",
    benchmark:
        "<results>/benchmarks/figure_member_effects.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_member_effects"),
    script:
        "../scripts/figure_member_effects.py"


rule figure_knock_down:
    input:
        knock_down="<results>/knock_down.tsv",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/knock_down.pdf",
        png="<results>/figures/knock_down.png",
        svg=report(
            "<results>/figures/knock_down.svg",
            caption="../report/knock_down.rst",
            category="4. Redundancy",
            labels={"what": "Knock-down curves, figure"},
        ),
    log:
        "<results>/logs/figure_knock_down.log",
    benchmark:
        "<results>/benchmarks/figure_knock_down.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_knock_down"),
    script:
        "../scripts/figure_knock_down.py"


rule figure_interactions:
    input:
        interactions="<results>/interactions.tsv",
        members="<results>/members.tsv",
    output:
        pdf="<results>/figures/interactions.pdf",
        png="<results>/figures/interactions.png",
        svg=report(
            "<results>/figures/interactions.svg",
            caption="../report/interactions.rst",
            category="4. Redundancy",
            labels={"what": "Interactions in pairs, figure"},
        ),
    log:
        "<results>/logs/figure_interactions.log",
    benchmark:
        "<results>/benchmarks/figure_interactions.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_interactions"),
    script:
        "../scripts/figure_interactions.py"


rule figure_specificity:
    input:
        specificity="<results>/specificity.tsv",
    output:
        pdf="<results>/figures/specificity.pdf",
        png="<results>/figures/specificity.png",
        svg=report(
            "<results>/figures/specificity.svg",
            caption="../report/specificity.rst",
            category="5. Across types and states",
            labels={"what": "Sets in other cell types, figure"},
        ),
    log:
        "<results>/logs/figure_specificity.log",
    benchmark:
        "<results>/benchmarks/figure_specificity.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_specificity"),
    script:
        "../scripts/figure_specificity.py"


rule figure_state_trajectory:
    input:
        states="<results>/state_redundancy.tsv",
        accessibility="<results>/accessibility.tsv.gz",
    output:
        pdf="<results>/figures/state_trajectory.pdf",
        png="<results>/figures/state_trajectory.png",
        svg=report(
            "<results>/figures/state_trajectory.svg",
            caption="../report/state_trajectory.rst",
            category="5. Across types and states",
            labels={"what": "Redundancy along states, figure"},
        ),
    log:
        "<results>/logs/figure_state_trajectory.log",
    benchmark:
        "<results>/benchmarks/figure_state_trajectory.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_state_trajectory"),
    script:
        "../scripts/figure_state_trajectory.py"


rule figure_atlas:
    input:
        redundancy="<results>/redundancy.tsv",
        windows="<results>/windows.tsv.gz",
        gene_classes=gene_classes,
    output:
        pdf="<results>/figures/atlas.pdf",
        png="<results>/figures/atlas.png",
        svg=report(
            "<results>/figures/atlas.svg",
            caption="../report/atlas.rst",
            category="5. Across types and states",
            labels={"what": "Redundancy over the whole run, figure"},
        ),
    log:
        "<results>/logs/figure_atlas.log",
    benchmark:
        "<results>/benchmarks/figure_atlas.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        stamps=stamps("redundancy.gene_classes"),
        code=code_of("figure_atlas"),
    script:
        "../scripts/figure_atlas.py"


rule figure_evidence:
    input:
        evidence="<results>/evidence.tsv",
    output:
        pdf="<results>/figures/evidence.pdf",
        png="<results>/figures/evidence.png",
        svg=report(
            "<results>/figures/evidence.svg",
            caption="../report/evidence.rst",
            category="6. Validation",
            labels={"what": "Agreement with outside evidence, figure"},
        ),
    log:
        "<results>/logs/figure_evidence.log",
    benchmark:
        "<results>/benchmarks/figure_evidence.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=0.2),
    params:
        code=code_of("figure_evidence"),
    script:
        "../scripts/figure_evidence.py"


FIGURES_OF_MODEL = {
    "window": ["regularisation_path"],
    "cross_modality": ["training_curves", "latent_umap"],
}
FIGURES = [
    *expand(
        "<results>/figures/{name}.{suffix}",
        name=[
            "quality_control",
            *FIGURES_OF_MODEL[config["surrogate"]["model"]],
            "surrogate_quality",
            "gate",
            "effect_against_null",
            "before_after",
            "effect_by_set_size",
            "member_locations",
            *(
                ["set_recovery"]
                if config["input"].get("simulation") is not None
                else []
            ),
            "redundancy_index",
            "member_effects",
            "knock_down",
            "interactions",
            "specificity",
            *(["state_trajectory"] if config["states"] else []),
            "atlas",
            *(["evidence"] if config["evidence"] else []),
            *(["contacts"] if HAS_CONTACTS else []),
        ],
        suffix=["pdf", "png", "svg"],
    ),
    *per_cell_type("<results>/figures/locus/{cell_type}"),
]
