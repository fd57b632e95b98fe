"""What a finished study keeps beside its records, so that its report can be made again: asked, counted, typed."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from initlab.core.errors import OptionError, StoreError, as_text
from initlab.core.facts.user_model import own_model_of
from initlab.core.files import read_file
from initlab.report.study.facts import DatasetFacts
from initlab.study.design import check_size
from initlab.study.records import RunRecord, RunSpec, Status, StudyDesign, record_name
from initlab.study.store import RECORDS, Store
from initlab.study.table import build

COMPARISON = "comparison.json"
LARGEST = 1 << 28
"""Bytes of the largest comparison.json that is read."""
_AGAIN = "run the comparison again, finished runs are kept"


@dataclass(frozen=True, eq=False)
class SavedStudy:
    """A study as its folder holds it.

    Attributes:
        design: What was asked.
        facts: The data, as counted.
        records: A record a run; one that did not finish is ``failed``.
        command: What was typed.
        logging: By tracker ``ok``, or ``degraded`` and why; empty where none was asked for.
    """

    design: StudyDesign
    facts: DatasetFacts
    records: tuple[RunRecord, ...]
    command: str
    logging: Mapping[str, str] = field(default_factory=dict)


def saved_json(design: StudyDesign, facts: DatasetFacts, records: Sequence[RunRecord], command: str) -> dict[str, Any]:
    """The part of ``comparison.json`` that ``read_saved`` needs, as plain dicts, lists, texts and numbers."""
    asked = {key: value for key, value in asdict(replace(design, model=None)).items() if value is not None}
    if design.model is not None:
        asked["model"] = design.model.to_dict()
    return {
        "command": command,
        "design": asked,
        "data": asdict(facts),
        "runs": [
            {
                "run_id": run.run_id,
                "scheme": run.spec.scheme,
                "seed": run.spec.seed,
                "learning_rate": run.spec.optimizer.learning_rate,
                "status": run.status,
                "reason": run.reason,
                **({"code_id": run.code.id} if run.code.id else {}),
                **({"changed": run.changed} if run.changed else {}),
            }
            for run in records
        ],
    }


def read_comparison(place: str | Path) -> dict[str, Any]:
    """What ``comparison.json`` of a study's folder says, or a file of that kind.

    Raises:
        StoreError: There is none, or it is none.
    """
    path = Path(place)
    path = path / COMPARISON if os.path.isdir(path) else path
    try:
        found = _as_text(json.loads(read_file(path, most=LARGEST).decode()))
    except FileNotFoundError as error:
        raise StoreError("there is no comparison", where=str(path), fix="name the folder of initlab compare") from error
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"the comparison cannot be read: {reason}", where=str(path), fix=_AGAIN) from error
    if not isinstance(found, dict) or not {"study", "schemes", "design", "data", "runs"} <= found.keys():
        raise StoreError("the file is no comparison of this initlab", where=str(path), fix=_AGAIN)
    return found


def _as_text(value: Any) -> Any:
    """The same JSON, with control characters spelled out: who passes a folder on may have put them there."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, list):
        return [_as_text(item) for item in value]
    return {as_text(key): _as_text(item) for key, item in value.items()} if isinstance(value, dict) else value


def read_saved(folder: str | Path) -> SavedStudy:
    """The study whose results lie in a folder.

    Raises:
        StoreError: The folder holds none, or what it holds is damaged.
    """
    found, where = read_comparison(folder), str(Path(folder) / COMPARISON)
    try:
        design, facts = design_of(found["design"], where), facts_of(found["data"])
        check_size(design, where=where)
        if not 1 <= design.seeds <= len(found["runs"]):
            raise OptionError(f"it tells of {design.seeds:,} seeds and {len(found['runs']):,} runs")
        records = _records(found["runs"], Store(Path(folder) / str(found.get("store", RECORDS))), where)
        logging = {str(name): str(outcome) for name, outcome in found.get("logging", {}).items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"the comparison is damaged: {error}", where=where, fix=_AGAIN) from error
    except OptionError as error:
        raise StoreError(f"the comparison is damaged: {error.what}", where=where, fix=_AGAIN) from error
    return SavedStudy(design, facts, records, str(found.get("command", "")), logging)


def facts_of(data: Mapping[str, Any]) -> DatasetFacts:
    """The facts whose ``asdict`` went through JSON."""
    return build(DatasetFacts, {key: value for key, value in data.items() if value is not None}, COMPARISON)


def design_of(parts: Mapping[str, Any], where: str) -> StudyDesign:
    """The design whose ``asdict`` went through JSON.

    Args:
        parts: The ``design`` of a ``comparison.json``.
        where: Its place, for errors.
    """
    table = {key: value for key, value in parts.items() if key != "model"}
    optimizer = {key: value for key, value in table["optimizer"].items() if value is not None}
    design = build(StudyDesign, {**table, "optimizer": optimizer}, where)
    return replace(design, model=own_model_of(parts["model"])) if "model" in parts else design


def _records(lines: list[Mapping[str, Any]], store: Store, where: str) -> tuple[RunRecord, ...]:
    names = [record_name(line["run_id"], line.get("code_id", "")) for line in lines]
    found = {
        name: replace(store.load(name), changed=str(line.get("changed", "")))
        for name, line in zip(names, lines, strict=True)
        if store.has(name)
    }
    if not found:
        raise StoreError("no run of the comparison has a record", where=where, fix=_AGAIN)
    like = next(iter(found.values())).spec
    return tuple(found.get(name) or _record_of(line, like) for name, line in zip(names, lines, strict=True))


def _record_of(line: Mapping[str, Any], like: RunSpec) -> RunRecord:
    """A run without a record: what was said of it when the study was made."""
    optimizer = replace(like.optimizer, learning_rate=line["learning_rate"])
    spec = replace(like, scheme=line["scheme"], seed=line["seed"], optimizer=optimizer)
    status: Status = line["status"] if line["status"] in ("failed", "timeout", "skipped") else "failed"
    reason = line["reason"] or "its record is not in the folder"
    return RunRecord(line["run_id"], spec, status, reason)
