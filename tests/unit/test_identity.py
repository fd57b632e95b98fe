"""The identity of code: edits that cannot change a result leave it, edits that can do not, and the rest is named."""

from __future__ import annotations

import importlib
import linecache
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from initlab.core.identity.walk import Code, code_of

NET = '''
"""A network."""
import functools
import logging
import math
from dataclasses import dataclass
from enum import Enum

import numpy as np

from identity_parts import act, unused

WIDTH = 8
SIZES = {"hidden": [4, 5], "last": 3}
TABLE = np.arange(6.0).reshape(2, 3)
CACHE = {}
COUNT = 0
LOG = logging.getLogger("net")
RNG = np.random.default_rng(3)


class Kind(Enum):
    WIDE = 1.5


@dataclass(frozen=True)
class Config:
    rate: float = 0.25


CONFIG = Config()


def scaled(f):
    @functools.wraps(f)
    def wrapper(*args):
        return 2.0 * f(*args)

    return wrapper


class Base:
    SLOPE = 0.1

    @property
    def slope(self):
        return self.SLOPE

    @staticmethod
    def shift(x):
        return x + 1.0


class Net(Base):
    """A net."""

    def __init__(self, width=WIDTH):
        # its width
        self.width = width

    @scaled
    def forward(self, x):
        """Forward."""
        inner = lambda y: y * self.slope
        return act(inner(x)) * TABLE.sum() * SIZES["last"] * CONFIG.rate * Kind.WIDE.value


def maker(power):
    def build():
        return Net(), power

    return build


def other():
    return 1


helped = functools.partial(maker, 3)


def build():
    global COUNT
    COUNT += 1
    CACHE["net"] = COUNT
    LOG.info("built")
    return helped()(), RNG, math.pi
'''
PARTS = """
FACTOR = 0.5


def act(x):
    return x * FACTOR


def unused(x):
    return x
"""

MUST_NOT = {
    "a comment": ("# its width", "# the width of it, in units"),
    "a docstring": ('"""Forward."""', '"""One pass forward."""'),
    "no docstring": ('    """A net."""\n\n', ""),
    "the module's docstring": ('"""A network."""', '"""Some network."""'),
    "layout": ("self.width = width\n", "self.width = (\n            width\n        )\n"),
    "quotes and commas": ('SIZES["last"]', "SIZES['last']"),
    "a trailing comma": ("return Net(), power", "return (Net(), power,)"),
    "blank lines": ("def maker", "\n\n\n\ndef maker"),
    "a function that nobody calls": ("def other():\n    return 1", "def other():\n    return 2"),
    "a function more": ("def maker", "def more():\n    return WIDTH\n\n\ndef maker"),
    "an import more": ("import math\n", "import json\nimport math\n"),
    "a counter's start": ("COUNT = 0", "COUNT = 5"),
    "a cache's start": ("CACHE = {}", "CACHE = {1: 2}"),
    "the order of functions": ("def other():\n    return 1\n\n\n", ""),
}

MUST = {
    "a module constant": ("WIDTH = 8", "WIDTH = 9"),
    "a number within a container": ("[4, 5]", "[4, 6]"),
    "a key of a container": ('"last": 3}', '"last": 3, "more": 1}'),
    "an array": ("np.arange(6.0)", "np.arange(1.0, 7.0)"),
    "the shape of an array": ("reshape(2, 3)", "reshape(3, 2)"),
    "a method": ("return x + 1.0", "return x + 1.5"),
    "a property": ("return self.SLOPE", "return -self.SLOPE"),
    "a class attribute": ("SLOPE = 0.1", "SLOPE = 0.2"),
    "a default": ("width=WIDTH", "width=16"),
    "a decorator's wrapper": ("return 2.0 * f", "return 3.0 * f"),
    "a decorator that goes": ("    @scaled\n", ""),
    "a nested function": ("lambda y: y", "lambda y: y + y"),
    "the argument of a partial": ("partial(maker, 3)", "partial(maker, 4)"),
    "a closure": ("return Net(), power", "return Net(), -power"),
    "a frozen record": ("rate: float = 0.25", "rate: float = 0.5"),
    "a member of an enumeration": ("WIDE = 1.5", "WIDE = 1.25"),
    "a base class": ("class Net(Base):", "class Net(Base, list):"),
    "the factory": ("return helped()()", "return maker(3)()"),
    "a constant of another module": ("FACTOR = 0.5", "FACTOR = 0.75"),
    "a function of another module": ("return x * FACTOR", "return x + FACTOR"),
}


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], Code]]:
    """The code of ``build`` with one text replaced, its module imported anew."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def read(old: str = "", new: str = "") -> Code:
        for name, text in (("identity_net", NET), ("identity_parts", PARTS)):
            sys.modules.pop(name, None)
            (tmp_path / f"{name}.py").write_text(text.replace(old, new) if old else text)
        assert not old or old in NET + PARTS
        linecache.clearcache()
        importlib.invalidate_caches()
        return code_of(importlib.import_module("identity_net").build, known=("numpy",))

    yield read
    for name in ("identity_net", "identity_parts"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("edit", MUST_NOT)
def test_an_edit_that_cannot_change_a_result_leaves_the_identity(code: Callable[..., Code], edit: str) -> None:
    assert code(*MUST_NOT[edit]).difference(code()) == ""


@pytest.mark.parametrize("edit", MUST)
def test_an_edit_that_can_change_a_result_is_named(code: Callable[..., Code], edit: str) -> None:
    changed, before = code(*MUST[edit]), code()
    assert changed.id != before.id
    assert changed.difference(before).startswith(("'identity_net:", "'identity_parts:"))


def test_what_cannot_be_told_is_named(code: Callable[..., Code]) -> None:
    assert set(code().unseen) == {
        "identity_net:COUNT (it is written to)",
        "identity_net:CACHE (it is written to)",
        "identity_net:LOG (a Logger)",
        "identity_net:RNG (a Generator)",
    }


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("time.time()", "time.time"),
        ("datetime.datetime.now()", "datetime.datetime.now"),
        ("getattr(math, 'pi')", "getattr"),
        ("importlib.import_module('math')", "importlib.import_module"),
        ("os.environ['HOME']", "os.environ"),
        ("uuid.uuid4()", "uuid.uuid4"),
    ],
)
def test_a_clock_and_its_kind_are_named(code: Callable[..., Code], line: str, named: str) -> None:
    top = "import datetime\nimport importlib\nimport os\nimport time\nimport uuid\nimport math\n"
    found = code("import math\n", top), code("import math\n", top + f"OTHER = lambda: {line}\nNOW = OTHER\n")
    assert found[0].unseen == found[1].unseen  # what nobody calls has no part in it
    seen = code('LOG.info("built")', f"import datetime, importlib, os, time, uuid\n    {line}").unseen
    assert any(named.split(".")[0] in one for one in seen)


def test_a_type_of_numbers_is_told_by_its_name() -> None:
    torch = pytest.importorskip("torch")
    found = [code_of({"dtype": dtype}, known=("torch",)) for dtype in (torch.float32, torch.float32, torch.float64)]
    assert found[0] == found[1] != found[2]
    assert [code.unseen for code in found] == [()] * 3


def test_installed_packages_count_by_their_version(code: Callable[..., Code]) -> None:
    found = code('LOG.info("built")', "import hypothesis")
    assert found.parts["package hypothesis"] == importlib.metadata.version("hypothesis")
    assert not any("package" in name for name in code().parts)


CELL = """
{above}RATE = {rate}
class Net:
    '''{doc}'''
    def forward(self, x):
        return x * RATE{comment}
def build():
    return Net()
"""


def typed(*, file: str, above: str = "", rate: float = 0.5, doc: str = "a net", comment: str = "") -> Code:
    """The code of a class that was typed: at a prompt without its source, in a notebook's cell with it."""
    text = CELL.format(above=above, rate=rate, doc=doc, comment=comment)
    if file.startswith("<ipython"):
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(text, file, "exec"), scope)
    return code_of(scope["build"])


@pytest.mark.parametrize("place", ["<stdin>", "<ipython-input-{}>", "<string>"])
def test_a_class_that_was_typed_has_an_identity(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linecache, "checkcache", lambda file: None)
    same = [typed(file=place.format(1)), typed(file=place.format(2), doc="the net", comment="  # y", above="X = 1\n")]
    assert same[0].id == same[1].id
    assert typed(file=place.format(3), rate=0.25).difference(same[0]).endswith(":RATE' is another")
    assert "Net.forward" in typed(file=place.format(4), comment=" + 1").difference(same[0])


def test_a_file_that_was_edited_since_its_import_counts_as_it_was_imported(
    code: Callable[..., Code], tmp_path: Path
) -> None:
    code()
    module = sys.modules["identity_net"]
    file = tmp_path / "identity_net.py"
    file.write_text(NET.replace("return x + 1.0", "return x + 7.0").replace("class Base", "X = 1\n\nclass Base"))
    linecache.clearcache()
    stale = code_of(module.build, known=("numpy",))
    assert stale.id != code("return x + 1.0", "return x + 7.0").id


ODD = """
class Deaf(type):
    def __getattr__(cls, name):
        raise RuntimeError(name)


class Odd(metaclass=Deaf):
    __slots__ = ()

    def __getattr__(self, name):
        raise RuntimeError(name)

    def __repr__(self):
        raise ValueError("no text")


ODD, EVERY, LOOP = Odd(), iter([1]), []
LOOP.append(LOOP)


def build():
    return ODD, EVERY, LOOP
"""


def test_what_cannot_be_told_is_named_and_never_raises() -> None:
    scope: dict[str, object] = {"__name__": "__main__"}
    exec(compile(ODD, "<stdin>", "exec"), scope)
    build = scope["build"]
    found, again = code_of(build), code_of(build)
    assert found == again
    said = " ".join(found.unseen)
    assert all(f":{name} (" in said for name in ("ODD", "EVERY", "LOOP"))
