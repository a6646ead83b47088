"""What a world did to the promise on false alarms, with its exact bound, and where its chance comes from."""

from zlib import crc32

import msgspec
import numpy as np
from scipy.stats import chi2

LEVEL = 0.95
KEPT_UP_TO = 1.1


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One rule in one world: false alarms seen, false alarms promised."""

    world: str
    setting: str
    promised: float
    alarms: int
    panes: int
    """Panes with feedback, of all keys together."""
    answers: int
    checked: int = 0
    """Panes that were also played through the product's own detector, one by one, with the same alarms."""
    assumed: bool = True
    """Whether the world keeps to what the promise assumes."""
    note: str = ""

    @property
    def ratio(self) -> float:
        """Return alarms by promised alarms."""
        return self.alarms / self.promised

    @property
    def upper(self) -> float:
        """Return the one-sided 95 % bound of the ratio. Source: Garwood 1936, exact Poisson."""
        return float(chi2.ppf(LEVEL, 2 * self.alarms + 2)) / 2 / self.promised

    @property
    def kept(self) -> bool:
        """Tell whether the promise is kept."""
        return self.upper <= KEPT_UP_TO


def rng_of(seed: int, name: str) -> np.random.Generator:
    """Return the generator of one named piece of work: the same whatever else runs, and in which order."""
    return np.random.default_rng([seed, crc32(name.encode())])
