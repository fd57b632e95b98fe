"""Records as bytes, and back: one uncompressed ZIP a run, readable by hand and by ``numpy.load``, without pickle.

Members: ``run.json`` (spec, status, environment), ``curves/*.npy``, ``layers/*.npy``, ``histograms/*.npy``,
``predictions.npy``, ``first_weights.npy`` where rows are images, and ``SHA256SUMS`` over all of them, so that
``unzip`` and ``sha256sum -c`` check a record by hand.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import InitlabError, StoreError, as_text
from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.user_model import OwnModel, own_model_of
from initlab.core.identity.walk import NO_CODE, Code
from initlab.core.memory import npy_array
from initlab.core.training.protocol import Budget, Histogram, Optimizer
from initlab.study.records import FORMAT, RunRecord, RunSpec, Status

Arrays: TypeAlias = dict[str, NDArray[Any]]
_MANIFEST = "SHA256SUMS"
_HEAD = "run.json"
_FIX = "delete the file, its run will be made again"


class _Outcome(Protocol):
    """What ``Trained`` and ``RunRecord`` have in common."""

    @property
    def curves(self) -> Mapping[str, NDArray[np.float64]]: ...
    @property
    def layers(self) -> Mapping[str, NDArray[np.float64]]: ...
    @property
    def histograms(self) -> Sequence[Histogram]: ...
    @property
    def predictions(self) -> NDArray[Any] | None: ...
    @property
    def first_weights(self) -> NDArray[np.float32] | None: ...


def outcome_arrays(outcome: _Outcome) -> tuple[list[dict[str, Any]], Arrays]:
    """What a run measured, as named arrays, and a JSON line for each of its histograms."""
    arrays: Arrays = {f"curves/{name}": values for name, values in outcome.curves.items()}
    arrays |= {f"layers/{name}": values for name, values in outcome.layers.items()}
    if outcome.predictions is not None:
        arrays["predictions"] = outcome.predictions
    if outcome.first_weights is not None:
        arrays["first_weights"] = outcome.first_weights
    bars = outcome.histograms
    if bars:
        arrays["histograms/low"] = np.array([bar.low for bar in bars], np.float64)
        arrays["histograms/high"] = np.array([bar.high for bar in bars], np.float64)
        arrays["histograms/counts"] = np.concatenate([bar.counts for bar in bars]).astype(np.int32)
    lines = [{"epoch": b.epoch, "layer": b.layer, "quantity": b.quantity, "bins": len(b.counts)} for b in bars]
    return lines, arrays


def histograms_of(lines: Sequence[Mapping[str, Any]], arrays: Arrays) -> tuple[Histogram, ...]:
    """The histograms that ``outcome_arrays`` took apart."""
    if not lines:
        return ()
    ends = np.cumsum([line["bins"] for line in lines])
    counts = np.split(arrays["histograms/counts"], ends[:-1])
    bounds = zip(arrays["histograms/low"].tolist(), arrays["histograms/high"].tolist(), strict=True)
    return tuple(
        Histogram(line["epoch"], line["layer"], line["quantity"], low, high, bar)
        for line, (low, high), bar in zip(lines, bounds, counts, strict=True)
    )


def group_of(arrays: Arrays, group: str) -> Arrays:
    """The arrays of one group (``curves``, ``layers``), by the rest of their name."""
    return {name.removeprefix(f"{group}/"): a for name, a in arrays.items() if name.startswith(f"{group}/")}


def spec_from_json(text: str) -> RunSpec:
    """The spec whose ``to_json()`` is ``text``.

    Raises:
        KeyError: A part is missing.
        TypeError: A part is unknown or of the wrong kind.
        InitlabError: A value is outside its range.

    Example:
        >>> spec = RunSpec("zeros", "iris", "", Mlp((4, 3)), Optimizer(), Budget(1, 32), seed=0)
        >>> spec_from_json(spec.to_json()) == spec
        True
    """
    parts = json.loads(text)
    parts.pop("format")
    parts["arch"] = _architecture(parts["arch"])
    parts["optimizer"] = Optimizer(**parts["optimizer"])
    parts["budget"] = Budget(**parts["budget"])
    parts["histogram_epochs"] = tuple(parts["histogram_epochs"])
    return RunSpec(**parts)


def _architecture(parts: Mapping[str, Any]) -> Mlp | Recurrent | OwnModel:
    if "params" in parts:
        return own_model_of(parts)
    return Recurrent(**parts) if "steps" in parts else Mlp(**parts)


def encode(record: RunRecord) -> bytes:
    """One record as the bytes of its file; equal records give equal bytes."""
    lines, arrays = outcome_arrays(record)
    head = {
        "format": FORMAT,
        "run_id": record.run_id,
        "spec": json.loads(record.spec.to_json()),
        "status": record.status,
        "reason": record.reason,
        "diverged_step": record.diverged_step,
        "wall": record.wall,
        "env": dict(record.env),
        "histograms": lines,
    }
    if record.code != NO_CODE:
        head["code"] = {"parts": dict(record.code.parts), "unseen": list(record.code.unseen)}
    members = {_HEAD: json.dumps(head, sort_keys=True, allow_nan=False).encode()}
    members |= {f"{name}.npy": _npy(arrays[name]) for name in sorted(arrays)}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members.items())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {**members, _MANIFEST: sums.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # a fixed date (1980), so no clock gets into the bytes
    return buffer.getvalue()


def decode(data: bytes, *, where: str = "") -> RunRecord:
    """The record in ``data``, checked: its checksums, its format, and that ``run_id`` is its spec's.

    Args:
        data: The bytes of a record's file.
        where: The file, for errors.

    Raises:
        StoreError: The record is damaged, or written by a newer initlab.
    """
    try:
        members = _members(data)
        head = json.loads(members[_HEAD])
        if head["format"] > FORMAT:
            raise StoreError(
                f"the record was written by a newer initlab (format {head['format']}, this one reads {FORMAT})",
                where=where,
                fix="upgrade initlab, or use another folder",
            )
        _verify(members)
        return _record(head, members)
    except StoreError:
        raise
    except KeyError as error:
        raise StoreError(f"the record is damaged: {error} is missing", where=where, fix=_FIX) from error
    except (
        zipfile.BadZipFile,
        RuntimeError,
        MemoryError,
        IndexError,
        AttributeError,
        TypeError,
        ValueError,
        EOFError,
    ) as error:
        raise StoreError(f"the record is damaged: {error}", where=where, fix=_FIX) from error
    except InitlabError as error:  # a value in the spec that no initlab has ever accepted
        raise StoreError(f"the record is damaged: {error.what}", where=where, fix=_FIX) from error


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise ValueError("a member is compressed")  # we never do, and a small file must not unpack into a huge one
        if len({info.filename for info in infos}) != len(infos):
            raise ValueError("two members share a name")
        return {info.filename: archive.read(info) for info in infos}


def _verify(members: Mapping[str, bytes]) -> None:
    lines = members[_MANIFEST].decode().splitlines()
    wanted = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = {name: hashlib.sha256(data).hexdigest() for name, data in members.items() if name != _MANIFEST}
    if wanted != found:
        differing = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise ValueError(f"the checksum of '{differing[0]}' differs")


def _record(head: Mapping[str, Any], members: Mapping[str, bytes]) -> RunRecord:
    spec = spec_from_json(json.dumps(head["spec"]))
    if head["run_id"] not in (spec.run_id, spec.full_id):
        raise ValueError(f"it is named {head['run_id']}, its spec says {spec.run_id}")
    if not json.dumps(head["spec"], ensure_ascii=False).isprintable():
        raise ValueError("its spec holds control characters")
    if head["status"] not in get_args(Status):
        raise ValueError(f"unknown status {head['status']!r}")
    arrays: Arrays = {
        name.removesuffix(".npy"): npy_array(data) for name, data in members.items() if name.endswith(".npy")
    }
    return RunRecord(
        run_id=head["run_id"],
        spec=spec,
        status=head["status"],
        reason=as_text(head["reason"]),
        diverged_step=head["diverged_step"],
        wall=head["wall"],
        env={as_text(name): as_text(value) for name, value in head["env"].items()},
        curves=group_of(arrays, "curves"),
        layers=group_of(arrays, "layers"),
        histograms=histograms_of(head["histograms"], arrays),
        predictions=arrays.get("predictions"),
        first_weights=arrays.get("first_weights"),
        code=_code(head.get("code", {})),
    )


def _code(told: Mapping[str, Any]) -> Code:
    parts = {as_text(name): as_text(digest) for name, digest in told.get("parts", {}).items()}
    return Code(parts, tuple(as_text(one) for one in told.get("unseen", ())))
