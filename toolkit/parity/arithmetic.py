"""Engines that compute a float32 file in fewer bits: the same answers expected, within bounds of their own."""

from __future__ import annotations

__all__ = ["Arithmetics"]

from dataclasses import dataclass, field, replace

from toolkit.parity.feed_reference import FeedsReference
from toolkit.parity.reference import Reference, bound_suites
from toolkit.runtimes.base import RuntimeSettings
from toolkit.runtimes.rounding import UNIT_ROUNDOFF
from toolkit.runtimes.source import ModelSource


@dataclass(slots=True, kw_only=True)
class Arithmetics:
    """One reference under the bounds of every arithmetic that rows ask for; each is computed once.

    Attributes:
        source: the model.
        precision: arithmetic of the file.
        reference: with the bounds of that.
    """

    source: ModelSource
    precision: str
    reference: Reference | FeedsReference
    _known: dict[str, Reference] = field(default_factory=dict)

    def explain_absence(self, settings: RuntimeSettings) -> str | None:
        """Return why there is no bound for an arithmetic, None where there is one."""
        if settings.arithmetic == "fp32":
            return None
        if isinstance(self.reference, FeedsReference):
            return f"no formula gives a bound for {settings.arithmetic} in a file without a card"
        if self.precision != "fp32":
            return f"{settings.arithmetic} is for float32 files; this one is {self.precision}"
        return None

    def reference_for(self, settings: RuntimeSettings) -> Reference | FeedsReference:
        """Return the reference with the bounds that an engine of these settings is judged by.

        Raises:
            ModelError: the file's graph cannot be evaluated.
            WorkerError: the reference process died.
        """
        if settings.arithmetic == "fp32" or isinstance(self.reference, FeedsReference):
            return self.reference
        if settings.arithmetic not in self._known:
            bounds = bound_suites(self.source, (entry.images for entry in self.reference.suites), settings=settings)
            suites = zip(self.reference.suites, bounds, strict=True)
            widened = replace(self.reference, suites=tuple(replace(entry, bound=bound) for entry, bound in suites))
            self._known[settings.arithmetic] = widened
        return self._known[settings.arithmetic]

    def scale_baseline(self, error: float | None, precision: str) -> float | None:
        """Return what a baseline's error comes to in another arithmetic than the file's: it grows with the roundoff."""
        if error is None or precision == self.precision:
            return error
        return error * UNIT_ROUNDOFF[precision] / UNIT_ROUNDOFF[self.precision]
