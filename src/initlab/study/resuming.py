"""What of a study is done already: records of the same question, the same code and the same numerics."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from initlab.core.errors import ChangedWarning, OptionError
from initlab.core.identity.walk import Code
from initlab.study.identity import change_of
from initlab.study.records import RunRecord, RunSpec, record_name
from initlab.study.store import Store

Changed = Literal["refuse", "allow", "fresh"]
"""What becomes of records that were made with other code, or that round otherwise."""


def changed_of(*, allow: bool, fresh: bool) -> Changed:
    """What becomes of records of other code, by the two options that say so.

    Raises:
        OptionError: Both are given.

    Example:
        >>> changed_of(allow=False, fresh=False), changed_of(allow=True, fresh=False)
        ('refuse', 'allow')
    """
    if allow and fresh:
        raise OptionError("--allow-changed takes what --fresh makes anew", where="--fresh", fix="give one of the two")
    return "allow" if allow else "fresh" if fresh else "refuse"


def done_already(
    specs: Sequence[RunSpec], codes: Sequence[Code], store: Store, env: Mapping[str, str], *, changed: Changed
) -> dict[int, RunRecord]:
    """The records of those runs that are done, by the runs' numbers.

    A record whose ``changed`` says something was made with other code, or with numerics that round otherwise.

    Args:
        specs: The runs.
        codes: The user's code in each.
        store: Where records lie.
        env: ``environment`` as it is.
        changed: Whether records of other code are refused, taken, or set aside with all others of these runs.

    Raises:
        OptionError: There are some, and they are refused; the first difference is named.
        StoreError: A record that would be taken is damaged.

    Warns:
        ChangedWarning: Records were made by another patch release, or on another processor.
    """
    present = store.by_run()
    if changed == "fresh":
        if names := [name for spec in specs for name in present.get(spec.run_id, ())]:
            store.set_aside(names)
        return {}
    found: dict[int, RunRecord] = {}
    told: Counter[str] = Counter()
    for i, (spec, code) in enumerate(zip(specs, codes, strict=True)):
        names = present.get(spec.run_id, [])
        if not names:
            continue
        own = record_name(spec.run_id, code.id)
        record = store.load(own if own in names else names[-1])
        change = change_of(record, code, env)
        told[change.told] += 1
        found[i] = replace(record, changed=change.refused)
    _check(found, store, changed)
    for text, count in told.items():
        if text:
            warnings.warn(f"{count} runs in {store.folder} were made elsewhere: {text}", ChangedWarning, stacklevel=4)
    return found


def _check(found: Mapping[int, RunRecord], store: Store, changed: Changed) -> None:
    others = [record for record in found.values() if record.changed]
    if others and changed == "refuse":
        raise OptionError(
            f"{len(others)} of {len(found)} finished runs are not what would be made: {others[0].changed}",
            where=str(store.folder),
            fix="--allow-changed takes them and marks their rows, --fresh makes them anew",
        )
