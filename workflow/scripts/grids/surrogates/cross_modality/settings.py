"""How a surrogate is built and trained: the ``surrogate`` block of the config."""

from dataclasses import dataclass, field

from grids.io.errors import InputError


@dataclass(frozen=True)
class Settings:
    """How a surrogate is built and trained; the ``surrogate`` block of the config.

    ``max_epochs`` and ``learning_rate`` are per stage. `supervised` None means: when the cells are paired.
    """

    encoder: str = "normalised"
    width: int = 64
    n_hidden: int = 128
    n_latent: int = 20
    rna_hidden: tuple[int, ...] = (640, 320)
    dropout: float = 0.3
    weight_decay: float = 0.01
    batch_size: int = 128
    patience: int = 5
    peak_learning_rate_factor: float = 1.0
    supervised: bool | None = None
    supervised_weight: float = 20.0
    pseudobulk_weight: float = 10.0
    adversarial_weight: float = 0.5
    max_epochs: dict = field(
        default_factory=lambda: {"atac": 3, "rna": 5, "mapping": 40, "specialisation": 20}
    )
    learning_rate: dict = field(
        default_factory=lambda: {
            "atac": 1e-3,
            "rna": 1e-3,
            "mapping": 1e-3,
            "specialisation": 1e-4,
            "discriminator": 1e-3,
        }
    )
    device: str = "cpu"

    def is_supervised(self, paired: bool) -> bool:
        """Whether to train on paired cells; refuses to where they are not paired."""
        if self.supervised and not paired:
            raise InputError(
                "surrogate.supervised is true, but the cells are not paired; set it to false or null"
            )
        return paired if self.supervised is None else self.supervised
