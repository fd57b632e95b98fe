"""Another edition of initlab: every sentence in its source reworded by machine, every name as it is.

What is reworded is any text of two words or more, as it stands in the source: notes, reasons, errors, and the parts of
f-strings between their values. What names a thing stays: the members of a ``Literal``, the kinds of findings, the keys
of dictionaries, calls of schemes. So does a text that is asked of another, as in ``note.endswith("...")``, in a
comparison or in a regular expression: where a verdict hangs on words, the reworded sentence answers otherwise.
"""

from __future__ import annotations

import ast
import codecs
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "initlab"
ROOMS = ("api", "auditing", "core", "frameworks", "museum", "probing", "recipes", "schemes", "theory")

_WORD = re.compile(r"[A-Za-z]{3,}")
_SENTENCE = re.compile(r"[A-Za-z]{2,}\W* \W*[A-Za-z]{2,}")
_PART = re.compile(r"(?=.* ).*[A-Za-z]{3,}", re.DOTALL)
_CALL = re.compile(r"^\w+\(.*=")
# Positions of a call's argument that names a thing: a finding's kind, a test that failed, a check.
_NAMED = {"Finding": 0, "Miss": 0, "register_check": 0, "Exhibit": 4}
_NAMING = frozenset({"kind", "finds", "name"})


def reworded(text: str) -> str:
    """The text in other words, as long and with the same numbers.

    Example:
        >>> reworded("3 numbers are not drawn")
        '3 ahzoref ner abg qenja'
    """
    return _WORD.sub(lambda word: codecs.encode(word[0], "rot13"), text)


def names_in(trees: Sequence[ast.Module]) -> frozenset[str]:
    """The texts of the source that name things: members of a ``Literal``, and kinds of what is found."""
    found: set[str] = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("Literal"):
                found |= set(_texts(node.slice))
            elif isinstance(node, ast.Call):
                at = _NAMED.get(ast.unparse(node.func).rpartition(".")[2])
                named = [k.value for k in node.keywords if k.arg in _NAMING]
                for value in [*named, *(node.args[at : at + 1] if at is not None else ())]:
                    found |= set(_texts(value))
    return frozenset(found)


def _texts(node: ast.AST) -> Iterator[str]:
    return (n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))


class Rewording(ast.NodeTransformer):
    """Rewords the sentences of one module."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.count = 0

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return self._said(node, _SENTENCE)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        whole = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        if not _CALL.match(whole):
            parts = [self._said(v, _PART) if isinstance(v, ast.Constant) else self.visit(v) for v in node.values]
            node.values = parts
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        node.value = self.visit(node.value)  # a format is no sentence
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.Compare:
        """A text that is compared with stays; what is compared is visited where it is made."""
        for part in (node.left, *node.comparators):
            if not isinstance(part, ast.Constant | ast.Tuple | ast.Set | ast.List):
                self.visit(part)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        function = node.func
        if isinstance(function, ast.Name) and function.id == "_words":  # names, in one text for brevity
            return node
        if isinstance(function, ast.Attribute) and (
            function.attr
            in ("startswith", "endswith", "removesuffix", "removeprefix", "partition", "rpartition", "split")
            or ast.unparse(function.value) == "re"
        ):
            if not isinstance(function.value, ast.Constant):
                self.visit(function.value)
            return node
        self.generic_visit(node)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.Dict:
        node.values = [self.visit(value) for value in node.values]
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.Subscript:
        if not ast.unparse(node.value).endswith("Literal"):
            self.generic_visit(node)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        return node if isinstance(node.value, ast.Constant) else ast.Expr(self.visit(node.value))  # a docstring

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.MatchValue:
        return node

    def _said(self, node: ast.Constant, is_said: re.Pattern[str]) -> ast.Constant:
        text = node.value
        if not isinstance(text, str) or text in self.names or not is_said.search(text) or _CALL.match(text):
            return node
        self.count += 1
        return ast.copy_location(ast.Constant(reworded(text)), node)


class _Loader(SourceFileLoader):
    """Compiles a module from its reworded source; no byte code is read or written."""

    names: frozenset[str] = frozenset()

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(Path(path).read_bytes())
        return compile(ast.fix_missing_locations(Rewording(self.names).visit(tree)), path, "exec")


class _Finder(MetaPathFinder):
    """Finds the reworded modules of the package's rooms."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(tuple(f"initlab.{room}" for room in ROOMS)):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(name, spec.loader.get_filename(name))
        return spec


def install() -> None:
    """From here on, initlab is imported in its reworded edition."""
    assert not any(name.startswith("initlab.") for name in sys.modules), "it was imported as it is"
    rooms = [file for room in ROOMS for file in sorted((PACKAGE / room).rglob("*.py"))]
    _Loader.names = names_in([ast.parse(file.read_bytes()) for file in rooms])
    sys.meta_path.insert(0, _Finder())
