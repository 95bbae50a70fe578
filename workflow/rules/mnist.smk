"""The image benchmark: explainers of a classifier of handwritten digits."""

from grids.explainers.jobs import jobs

MNIST_JOBS = jobs(config["mnist"]["methods"]) if "mnist" in config else {}
MNIST_FILES = config["mnist"]["idx_files"] or {} if "mnist" in config else {}


wildcard_constraints:
    mnist_job="|".join(re.escape(name) for name in MNIST_JOBS) or "nothing",


rule train_mnist_classifier:
    input:
        **MNIST_FILES,
    output:
        digits="<results>/mnist/digits.h5ad",
        classifier="<results>/mnist/classifier.safetensors",
        quality=report(
            "<results>/mnist/quality.tsv",
            caption="../report/mnist_quality.rst",
            category="Image benchmark",
            labels={"what": "The classifier, table"},
        ),
    log:
        "<results>/logs/train_mnist_classifier.log",
    benchmark:
        "<results>/benchmarks/train_mnist_classifier.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(30, per_input_mb=1),
    params:
        settings=lambda wildcards: {
            key: config["mnist"][key]
            for key in ("idx_files", "threshold", "classifier")
        },
        seed=seed_for("train_mnist_classifier"),
        stamps=stamps("mnist."),
        code=code_of("train_mnist_classifier"),
    script:
        "../scripts/train_mnist_classifier.py"


rule explain_mnist:
    input:
        digits="<results>/mnist/digits.h5ad",
        classifier="<results>/mnist/classifier.safetensors",
    output:
        effects="<results>/mnist/methods/{mnist_job}.effects.tsv",
        cells="<results>/mnist/methods/{mnist_job}.cells.tsv.gz",
        sets="<results>/mnist/methods/{mnist_job}.sets.tsv",
    log:
        "<results>/logs/explain_mnist/{mnist_job}.log",
    benchmark:
        "<results>/benchmarks/explain_mnist/{mnist_job}.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(3000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=5),
    params:
        set_size=lookup("mnist/set_size", within=config, default=None),
        settings=lambda wildcards: explainer_settings(
            config, MNIST_JOBS[wildcards.mnist_job]
        ),
        seed=seed_for("explain_mnist"),
        code=code_of("explain_mnist"),
    script:
        "../scripts/explain_mnist.py"


rule collect_mnist:
    input:
        effects=expand(
            "<results>/mnist/methods/{mnist_job}.effects.tsv", mnist_job=MNIST_JOBS
        ),
        cells=expand(
            "<results>/mnist/methods/{mnist_job}.cells.tsv.gz", mnist_job=MNIST_JOBS
        ),
        sets=expand(
            "<results>/mnist/methods/{mnist_job}.sets.tsv", mnist_job=MNIST_JOBS
        ),
    output:
        effects=report(
            "<results>/mnist/effects.tsv",
            caption="../report/mnist_effects.rst",
            category="Image benchmark",
            labels={"what": "Effect and cost of every method, table"},
        ),
        cells="<results>/mnist/cells.tsv.gz",
        sets="<results>/mnist/sets.tsv",
        comparisons="<results>/mnist/comparisons.tsv",
    log:
        "<results>/logs/collect_mnist.log",
    benchmark:
        "<results>/benchmarks/collect_mnist.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        seed=seed_for("collect_mnist"),
        code=code_of("collect_mnist"),
    script:
        "../scripts/collect_mnist.py"


rule figure_mnist_changes:
    input:
        cells="<results>/mnist/cells.tsv.gz",
        comparisons="<results>/mnist/comparisons.tsv",
    output:
        pdf="<results>/figures/mnist_changes.pdf",
        png="<results>/figures/mnist_changes.png",
        svg=report(
            "<results>/figures/mnist_changes.svg",
            caption="../report/mnist_changes.rst",
            category="Image benchmark",
            labels={"what": "Log odds lost per method, figure"},
        ),
    log:
        "<results>/logs/figure_mnist_changes.log",
    benchmark:
        "<results>/benchmarks/figure_mnist_changes.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("figure_mnist_changes"),
    script:
        "../scripts/figure_mnist_changes.py"


rule figure_mnist_digits:
    input:
        digits="<results>/mnist/digits.h5ad",
        sets="<results>/mnist/sets.tsv",
        cells="<results>/mnist/cells.tsv.gz",
    output:
        pdf="<results>/figures/mnist_digits.pdf",
        png="<results>/figures/mnist_digits.png",
        svg=report(
            "<results>/figures/mnist_digits.svg",
            caption="../report/mnist_digits.rst",
            category="Image benchmark",
            labels={"what": "Masked digits per method, figure"},
        ),
    log:
        "<results>/logs/figure_mnist_digits.log",
    benchmark:
        "<results>/benchmarks/figure_mnist_digits.tsv"
    conda:
        "../../envs/grids.yaml"
    threads: 1
    resources:
        mem_mb=memory(2000, per_input_mb=50),
        runtime=minutes(15, per_input_mb=1),
    params:
        code=code_of("figure_mnist_digits"),
    script:
        "../scripts/figure_mnist_digits.py"


MNIST = [
    rules.train_mnist_classifier.output.quality,
    rules.collect_mnist.output,
    rules.figure_mnist_changes.output,
    rules.figure_mnist_digits.output,
]
