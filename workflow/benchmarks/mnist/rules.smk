"""The image benchmark: explainers of a classifier of handwritten digits."""

from benchmarks.explainers.jobs import explainer_settings, jobs

MNIST_JOBS = jobs(config["mnist"]["methods"])


wildcard_constraints:
    mnist_job="|".join(re.escape(name) for name in MNIST_JOBS),


rule train_mnist_classifier:
    output:
        digits="<results>/mnist/digits.h5ad",
        classifier="<results>/mnist/classifier.safetensors",
        quality=report(
            "<results>/mnist/quality.tsv",
            caption="report/mnist_quality.rst",
            category="Image benchmark",
            labels={"what": "The classifier, table"},
        ),
    log:
        "<results>/logs/train_mnist_classifier.log",
    benchmark:
        "<results>/benchmarks/train_mnist_classifier.tsv"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        settings={key: config["mnist"][key] for key in ("threshold", "classifier")},
        seed=seed_for("train_mnist_classifier"),
        code=code_of("mnist/train_mnist_classifier"),
    script:
        "scripts/train_mnist_classifier.py"


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
        ENVIRONMENT
    resources:
        mem_mb=memory(3000, per_input_mb=20),
        runtime=minutes(60, per_input_mb=5),
    params:
        set_size=config["mnist"]["set_size"],
        settings=lambda wildcards: explainer_settings(
            config, MNIST_JOBS[wildcards.mnist_job]
        ),
        seed=seed_for("explain_mnist"),
        code=code_of("mnist/explain_mnist"),
    script:
        "scripts/explain_mnist.py"


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
            caption="report/mnist_effects.rst",
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
        ENVIRONMENT
    resources:
        **OF_TABLES,
    params:
        seed=seed_for("collect_mnist"),
        code=code_of("mnist/collect_mnist"),
    script:
        "scripts/collect_mnist.py"


INSTEAD += [
    rules.train_mnist_classifier.output.quality,
    rules.collect_mnist.output,
    drawn("mnist_changes"),
    drawn("mnist_digits"),
]
