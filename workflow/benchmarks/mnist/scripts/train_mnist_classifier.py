"""Read the digits and train the classifier that is explained."""

from benchmarks.mnist import digits
from benchmarks.mnist.training import ClassifierSettings, train_classifier
from grids.io import tables
from grids.io.logging import job
from grids.surrogates import storage

with job(snakemake) as log:
    settings, seed = snakemake.params.settings, snakemake.params.seed
    data = digits.read_digits(settings["threshold"], seed)
    classifier, quality = train_classifier(data, ClassifierSettings(**settings["classifier"]), seed)
    digits.write(data, snakemake.output.digits)
    storage.save(classifier, snakemake.output.classifier, seed=seed)
    tables.write(quality, snakemake.output.quality)
    log.info("%d digits of %d pixels", *data.X.shape)
