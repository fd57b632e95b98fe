"""The text of functions and classes without comments, docstrings and layout, as long as it is what was compiled."""

from __future__ import annotations

import ast
import hashlib
import linecache
import os
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType, FunctionType

_LEFT_OUT = {"ctx", "type_comment", "kind"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def function_text(function: FunctionType) -> str:
    """A function's syntax tree as a text; of one without source, or whose file was edited since, its compiled code.

    Example:
        >>> function_text(lambda x: (x + 1)) == function_text(lambda x: x + 1)  # the spaces are others
        True
    """
    code = function.__code__
    found = _nodes(code, function.__globals__)
    return "\n".join(_canonical(node) for node in found) if found else compiled(code)


def class_text(kind: type, members: list[CodeType]) -> str:
    """A class's bases, decorators and assignments as a text, without the functions that it defines.

    Args:
        kind: The class.
        members: The code of its own methods, which tells it from another of the same name.
    """
    module = sys.modules.get(kind.__module__)
    wanted = kind.__qualname__
    for code in members:
        tree = _tree(code.co_filename, vars(module) if module is not None else {})
        nodes = [node for name, node in _classes(tree) if name == wanted] if tree is not None else []
        lines = {code.co_firstlineno for code in members}
        held = [n for n in nodes if any(n.lineno <= line <= (n.end_lineno or n.lineno) for line in lines)]
        if held:
            return "\n".join(_canonical(node, without_functions=True) for node in held)
    file = getattr(module, "__file__", None)
    tree = _tree(file, vars(module)) if module is not None and isinstance(file, str) else None
    nodes = [node for name, node in _classes(tree) if name == wanted] if tree is not None else []
    return "\n".join(_canonical(node, without_functions=True) for node in nodes)


def compiled(code: CodeType) -> str:
    """A code object as a text: its instructions, names and constants, without its lines and its docstring."""
    constants = list(code.co_consts)
    if constants and isinstance(constants[0], str) and code.co_name != "<lambda>":
        constants[0] = None  # the docstring, where there is one; else None stands there
    told = [compiled(c) if isinstance(c, CodeType) else _constant(c) for c in constants]
    return f"{code.co_code.hex()} {code.co_names} {code.co_varnames} {code.co_freevars} {told}"


def _constant(value: object) -> str:
    """A constant as a text; the members of a set have no order of their own."""
    if isinstance(value, frozenset):
        return f"set({', '.join(sorted(map(_constant, value)))})"
    return f"({', '.join(map(_constant, value))})" if isinstance(value, tuple) else repr(value)


def _nodes(code: CodeType, names: dict[str, object]) -> list[ast.AST]:
    """The syntax of a code object; none where there is no source, or another one than was compiled."""
    tree = _tree(code.co_filename, names)
    if tree is None or not _is_current(code, names):
        return []
    if code.co_name == "<lambda>":
        return [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno]
    named = (n for n in ast.walk(tree) if isinstance(n, _FUNCTIONS) and n.name == code.co_name)
    return [n for n in named if min([n.lineno, *(d.lineno for d in n.decorator_list)]) == code.co_firstlineno]


def _is_current(code: CodeType, names: dict[str, object]) -> bool:
    source = _source(code.co_filename, names)
    if source and _is_untouched(code.co_filename):  # what else was compiled of it, as by pytest of assertions, says it
        return True
    twins = _compiled_source(source, code.co_filename) if source else {}
    return any(_same(code, twin) for twin in twins.get((code.co_name, code.co_firstlineno), ()))


@cache
def _began() -> float | None:
    """When this process began, in seconds since 1970; None where the platform does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        lines = Path("/proc/stat").read_text().splitlines()
        booted = next(int(line.split()[1]) for line in lines if line.startswith("btime "))
        return booted + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, StopIteration):
        return None


def _is_untouched(file: str) -> bool:
    """Whether a file is older than this process by more than the clocks' error."""
    began = _began()
    try:
        return began is not None and os.stat(file).st_mtime < began - 2.0
    except OSError:
        return False


def _same(first: CodeType, second: CodeType) -> bool:
    if first.co_code != second.co_code or first.co_names != second.co_names:
        return False
    if len(first.co_consts) != len(second.co_consts):
        return False
    pairs = zip(first.co_consts, second.co_consts, strict=True)
    return all(
        _same(a, b) if isinstance(a, CodeType) and isinstance(b, CodeType) else _constant(a) == _constant(b)
        for a, b in pairs
    )


@lru_cache(maxsize=64)
def _compiled_source(source: str, file: str) -> dict[tuple[str, int], list[CodeType]]:
    found: dict[tuple[str, int], list[CodeType]] = {}
    try:
        waiting = [compile(source, file, "exec", dont_inherit=True)]
    except (SyntaxError, ValueError):
        return {}
    while waiting:
        code = waiting.pop()
        found.setdefault((code.co_name, code.co_firstlineno), []).append(code)
        waiting += [c for c in code.co_consts if isinstance(c, CodeType)]
    return found


def _tree(file: str, names: dict[str, object]) -> ast.Module | None:
    source = _source(file, names)
    return _parsed(source) if source else None


def _source(file: str, names: dict[str, object]) -> str:
    linecache.checkcache(file)
    return "".join(linecache.getlines(file, names))


@lru_cache(maxsize=64)
def _parsed(source: str) -> ast.Module | None:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _classes(node: ast.AST, before: str = "") -> Iterator[tuple[str, ast.ClassDef]]:
    """Every class below a node with its qualified name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield before + child.name, child
            yield from _classes(child, f"{before}{child.name}.")
        elif isinstance(child, _FUNCTIONS):
            yield from _classes(child, f"{before}{child.name}.<locals>.")
        else:
            yield from _classes(child, before)


def _canonical(node: object, *, without_functions: bool = False) -> str:
    """A syntax tree as a text in which fields that are empty, places and docstrings have no part."""
    if isinstance(node, list):
        return f"[{', '.join(_canonical(item) for item in node)}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name in _LEFT_OUT or value is None or value == []:
            continue
        if name == "body" and isinstance(value, list):
            value = _without_docstring(node, value)
            value = [v for v in value if not (without_functions and isinstance(v, _FUNCTIONS))]
        fields.append(f"{name}={_canonical(value)}")
    return f"{type(node).__name__}({', '.join(fields)})"


def _without_docstring(node: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body and isinstance(node, (*_FUNCTIONS, ast.ClassDef)) else None
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return body[1:] if is_docstring and isinstance(first.value.value, str) else body  # type: ignore[union-attr]


def digest_of_text(text: str) -> str:
    """16 hex digits of the sha256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
