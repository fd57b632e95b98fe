"""The profile of a model: theory beside measurement for every layer, to print, to save, to judge, to compare."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass, replace
from functools import cached_property

from initlab.core.errors import InitlabError, OptionError
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import NAMED
from initlab.probing.checks.wording import listed
from initlab.probing.diagnosis import Diagnosis, diagnose
from initlab.probing.measure.counts import histograms_of
from initlab.probing.measure.coverage import Coverage, coverage
from initlab.probing.measure.metrics import Compared, LayerRow, layer_rows, layer_stats, loss_of, samples_in
from initlab.probing.measure.ratios import gradient_ratio, signal_ratio
from initlab.probing.records import Evidence, LayerStat
from initlab.probing.show.beside_text import Column, beside_html, beside_text
from initlab.probing.show.profile_html import profile_html
from initlab.probing.show.profile_text import profile_text
from initlab.web import PORT


@dataclass(frozen=True, eq=False)
class Profile:
    """What a batch shows in a model, beside what theory says of its weights: ``print`` it, ``diagnose`` it.

    Attributes:
        evidence: All that is known of the model.
    """

    evidence: Evidence

    @cached_property
    def rows(self) -> tuple[LayerRow, ...]:
        """A row for every weighted layer, in order of use."""
        return layer_rows(self.evidence)

    @cached_property
    def stats(self) -> tuple[LayerStat, ...]:
        """Every number of every weighted sum and activation, and the loss."""
        return tuple(layer_stats(self.evidence))

    @property
    def hidden(self) -> tuple[LayerRow, ...]:
        """The rows of the layers before the last weights."""
        return tuple(row for row in self.rows if row.is_hidden)

    @property
    def signal_ratio(self) -> Compared:
        """E[z^2] of the last hidden layer over that of the first."""
        return signal_ratio(self.rows)

    @property
    def gradient_ratio(self) -> Compared:
        """The squared norm of the loss's gradient at the first hidden layer over that at the last.

        A norm, and not the mean square of an entry: layers of different sizes share one gradient among more entries or
        fewer.
        """
        return gradient_ratio(self.rows)

    @cached_property
    def coverage(self) -> Coverage:
        """Which of the model's numbers were seen at work, and why not the others."""
        return coverage(self.evidence)

    def diagnose(self, limits: Limits | None = None) -> Diagnosis:
        """What is wrong with the model, the worst first.

        Args:
            limits: Those of a healthy model; left out, the defaults.
        """
        return diagnose(self.evidence, limits)

    def assert_healthy(
        self, limits: Limits | None = None, *, strict: bool = False, unseen: float | None = None
    ) -> None:
        """Nothing, where the model is healthy, or hard to train.

        Args:
            limits: Those of a healthy model; left out, the defaults.
            strict: Whether a model that is hard to train is refused too.
            unseen: The share of the model's numbers that may be unseen, in place of the limits' own.

        Raises:
            InitlabError: The alarms, the worst first; or too much of the model was not seen at work.
        """
        chosen = limits or Limits()
        diagnosis = self.diagnose(chosen if unseen is None else replace(chosen, unseen=unseen))
        if diagnosis.verdict == "not judged" and diagnosis.unseen > diagnosis.limits.unseen:
            told = "; ".join(f"{listed([p.native for p in some], NAMED)}: {why}" for why, some in self.coverage.parts)
            fix = f"probe with more samples, or allow it by unseen={math.ceil(100.0 * diagnosis.unseen) / 100.0:g}"
            raise InitlabError(f"{diagnosis.headline}: {told}", fix=fix)
        diagnosis.assert_healthy(strict=strict)

    def compare(self, *others: Profile, **named: Profile) -> SideBySide:
        """This profile beside others of the same model under other weights: ``print`` it, ``picture`` it.

        Args:
            others: Called ``after``, ``after 2`` and so on; this one is ``before``.
            named: By the name that each is to have.

        Raises:
            OptionError: No other profile, or one of other layers.

        Example:
            >>> import torch, initlab
            >>> net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
            >>> x = torch.randn(16, 4)
            >>> before = initlab.probe(net, x)
            >>> after = initlab.probe(initlab.initialize(net, "he_normal", seed=0), x)
            >>> list(before.compare(he_normal=after).profiles)
            ['before', 'he_normal']
        """
        after = {f"after {i}" if i > 1 else "after": other for i, other in enumerate(others, start=1)}
        return SideBySide({"before": self, **after, **named})

    def web(self, *, port: int = PORT, browser: bool = True) -> None:
        """Show signal, gradient and histograms by layer in the page, on this machine alone, until Ctrl-C.

        The histograms are there where the model was probed with ``histograms=True``.

        Args:
            port: Where; the next one where it is taken.
            browser: Whether to open a browser.
        """
        from initlab.web.show import show_page

        found = {"profile": self.to_dict(), "diagnosis": self.diagnose().to_dict()}
        show_page(profile=json.dumps(found, allow_nan=False), port=port, browser=browser)

    def text(self, width: int = 80) -> str:
        """The profile as tables of so many characters a line, 80 or more; from 160 on all is in one table."""
        return profile_text(self.evidence, self.rows, width)

    def __str__(self) -> str:
        return self.text(shutil.get_terminal_size((80, 24)).columns)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return profile_html(self.evidence, self.rows) + self.diagnose()._repr_html_()

    def to_dict(self) -> dict[str, object]:
        """The profile as JSON-ready data; a number that is not known or not finite is None."""
        evidence, reading = self.evidence, self.evidence.reading
        loss = loss_of(evidence)
        found = {
            "model": evidence.model,
            "framework": evidence.framework,
            "samples": samples_in(evidence.reading),
            "coverage": self.coverage.to_dict(),
            "loss": {"kind": reading.loss_kind, **asdict(loss)},
            "signal_ratio": asdict(self.signal_ratio),
            "gradient_ratio": asdict(self.gradient_ratio),
            "rows": [asdict(row) for row in self.rows],
            "stats": [asdict(stat) for stat in self.stats],
            "histograms": histograms_of(reading),
            "weights": {name: asdict(facts) for name, facts in evidence.weights.items()},
            "notes": list(evidence.notes),
        }
        return {key: _finite(value) for key, value in found.items()}


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Profiles of one model under several weights: one table and one figure, on common axes.

    Attributes:
        profiles: By what the weights are called, in the order in which they are shown.

    Raises:
        OptionError: Fewer than two, or profiles of models whose layers have other names.
    """

    profiles: dict[str, Profile]

    def __post_init__(self) -> None:
        if len(self.profiles) < 2:
            raise OptionError("one profile has nothing to stand beside", fix="give another one: profile.compare(after)")
        first, *others = self.profiles.items()
        paths = [row.path for row in first[1].rows]
        for name, profile in others:
            if [row.path for row in profile.rows] != paths:
                what = f"the layers of '{name}' are not those of '{first[0]}'"
                raise OptionError(what, fix="compare profiles of one model")

    def __str__(self) -> str:
        return beside_text(self._columns())

    def _repr_html_(self) -> str:
        return beside_html(self._columns())

    def to_dict(self) -> dict[str, object]:
        """The profiles and their diagnoses as JSON-ready data, by name."""
        both = self.profiles.items()
        return {name: {"profile": one.to_dict(), "diagnosis": one.diagnose().to_dict()} for name, one in both}

    def _columns(self) -> dict[str, Column]:
        return {name: _column(profile) for name, profile in self.profiles.items()}


def _column(profile: Profile) -> Column:
    told, loss = profile.diagnose(), profile.evidence.reading.loss
    ratios = profile.signal_ratio.measured, profile.gradient_ratio.measured
    return Column(told.verdict, len(told.alarms), loss, *ratios, profile.rows)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
