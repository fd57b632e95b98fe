"""A user's code that ends the process, raises or is no factory at all, is an error of one line."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import pytest

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.core.factories import exits_raise, made_by, named, said, users_code
from initlab.schemes.base import SCHEMES, register_scheme

ENDS = {"sys.exit('bye')": "SystemExit: bye", "sys.exit(0)": "SystemExit: 0", "os._exit(0)": "SystemExit: 0"}


class ShyError(Exception):
    """An exception that has no words of its own."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(("end", "told"), ENDS.items())
def test_a_module_that_ends_the_process_when_it_is_imported_is_refused(
    tmp_path, monkeypatch: pytest.MonkeyPatch, end: str, told: str
) -> None:
    (tmp_path / "ends_at_import.py").write_text(f"import os, sys\ndef build(): return 1\n{end}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ends_at_import", raising=False)
    real = os._exit
    with pytest.raises(InitlabError, match=f"importing 'ends_at_import' failed: {told} .*__main__"):
        named("ends_at_import:build")
    assert os._exit is real


@pytest.mark.parametrize("end", [lambda: sys.exit("bye"), lambda: os._exit(3)])
def test_a_factory_that_ends_the_process_is_refused(end) -> None:
    with pytest.raises(InitlabError, match=r"build raised SystemExit: (bye|3).*__main__"):
        made_by(end, "build")


def test_other_threads_and_children_end_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with exits_raise():
        other = threading.Thread(target=lambda: os._exit(5))
        other.start()
        other.join()
        monkeypatch.setattr(os, "getpid", lambda: -1)
        os._exit(6)
    assert ended == [5, 6]


def test_who_keeps_the_name_from_within_has_the_real_one_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with exits_raise():
        kept = os._exit
    kept(7)
    assert ended == [7]


def test_an_exception_without_words_is_told_by_its_name() -> None:
    assert said(ShyError()) == "ShyError: its text raises RuntimeError"
    with pytest.raises(InitlabError, match="it raised ShyError: its text raises RuntimeError"), users_code("it raised"):
        raise ShyError


@pytest.mark.filterwarnings("error")
def test_an_asynchronous_factory_is_refused_without_a_warning() -> None:
    async def build() -> object:
        return 1

    with pytest.raises(OptionError, match="'net:build' is asynchronous"):
        made_by(build, "'net:build'")


def test_a_file_is_no_name_of_a_module_and_is_not_run() -> None:
    with pytest.raises(OptionError, match=r"write nets\.mine:build"):
        named("nets/mine.py:build")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda p: None, "returned None and no law"),
        (lambda p: np.zeros(p.shape), "returned a ndarray and no law"),
        (lambda p: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda p: sys.exit(0), "raised SystemExit: 0"),
    ],
)
def test_a_scheme_that_gives_no_law_is_named(monkeypatch: pytest.MonkeyPatch, made, told: str) -> None:
    for table in ("_items", "_keys", "_spelled"):
        monkeypatch.setattr(SCHEMES, table, getattr(SCHEMES, table).copy())
    register_scheme(name="no_law")(made)
    with pytest.raises(OptionError, match=f"the scheme 'no_law' {told} .*weight"):
        initlab.plan(initlab.Mlp((4, 3)), "no_law")


def test_a_model_that_ends_the_process_in_its_forward_is_refused() -> None:
    torch = pytest.importorskip("torch")

    class Ends(torch.nn.Linear):  # type: ignore[misc, name-defined]
        def forward(self, x):
            sys.exit(0)

    net, x = torch.nn.Sequential(Ends(4, 3), torch.nn.ReLU()), torch.ones(5, 4)
    with pytest.raises(InitlabError, match="the model's code raised SystemExit: 0"):
        initlab.probe(net, x)
    with pytest.raises(InitlabError, match="the model's code raised SystemExit: 0"):
        initlab.plan(net, example=x)
