"""A Python file read before it is run: what its import would train or end, and what makes a model in it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

TRAINS = frozenset({"fit", "train", "backward", "step"})
ENDS = frozenset({"exit", "quit", "sys.exit", "os._exit", "os.abort"})
LONGEST = 60
"""Characters of an expression that is shown whole in a factory."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Deed:
    """What importing a file would do that only a script may.

    Attributes:
        line: The line at module level, counted from 1.
        call: What trains or ends the process, as it is written: ``"loss.backward"``.
        through: The function of the file that the line calls for it; empty where the line does it itself.
    """

    line: int
    call: str
    through: str = ""

    def __str__(self) -> str:
        """The deed in words.

        Example:
            >>> print(Deed(9, "loss.backward", through="main"))
            line 9 calls main(), which calls loss.backward()
        """
        if self.through:
            return f"line {self.line} calls {self.through}(), which calls {self.call}()"
        return f"line {self.line} calls {self.call}()"


def first_deed(tree: ast.Module) -> Deed | None:
    r"""The first call at module level, outside the guard, that trains or ends the process; None for none.

    Functions of the file that are called there are followed. What a function or a lambda would do when somebody calls
    it later is not done by an import, and a class's body is.

    Example:
        >>> first_deed(ast.parse("def main():\n    model.fit(x, y)\nif __name__ == '__main__':\n    main()"))
        >>> first_deed(ast.parse("for x in data:\n    model(x).sum().backward()"))
        Deed(line=2, call='model(x).sum().backward', through='')
    """
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    for call in _calls(tree.body):
        if _does(call):
            return Deed(call.lineno, ast.unparse(call.func))
        called = call.func.id if isinstance(call.func, ast.Name) else ""
        if (inside := _within(called, functions, set())) is not None:
            return Deed(call.lineno, ast.unparse(inside.func), through=called)
    return None


def factory_lines(tree: ast.Module, name: str = "build") -> tuple[str, ...]:
    r"""The five lines that make an importable file of a script, with the file's own model in them.

    Example:
        >>> print("\n".join(factory_lines(ast.parse("class Net(Module): pass\nnet = Net(64, 10)\nnet.fit(x)"))))
        def build():
            return Net(64, 10)
        <BLANKLINE>
        if __name__ == "__main__":
            net = build()  # and all that trains it
    """
    variable, model = _model(tree)
    return (
        f"def {name}():",
        f"    return {model}",
        "",
        'if __name__ == "__main__":',
        f"    {variable} = {name}()  # and all that trains it",
    )


def makers(tree: ast.Module) -> list[str]:
    r"""Names of the file's own functions that need no argument, and of its classes that derive from another, in order.

    Functions that train or end the process are left out.

    Example:
        >>> makers(ast.parse("class Net(Module): pass\ndef load(path): pass\ndef build(width=64): pass"))
        ['Net', 'build']
    """
    functions = {node.name: node for node in tree.body if isinstance(node, Function)}
    found = []
    for node in tree.body:
        if (isinstance(node, ast.ClassDef) and node.bases) or (
            isinstance(node, Function) and not _needs(node) and _within(node.name, functions, set()) is None
        ):
            found.append(node.name)
    return found


def _needs(function: Function) -> bool:
    args = function.args
    positional = len(args.posonlyargs) + len(args.args) - len(args.defaults)
    return positional > 0 or any(default is None for default in args.kw_defaults)


def _calls(body: list[ast.stmt]) -> Iterator[ast.Call]:
    """The calls that running these statements makes itself, in the order of their lines."""
    found: list[ast.Call] = []
    waiting: list[ast.AST] = [*body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Call):
            found.append(node)
        waiting += _run_with(node)
    return iter(sorted(found, key=lambda call: (call.lineno, call.col_offset)))


def _run_with(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that run when it does: of a function its decorators and defaults alone."""
    if isinstance(node, ast.Lambda):
        return [*node.args.defaults, *filter(None, node.args.kw_defaults)]
    if isinstance(node, Function):
        return [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
    if isinstance(node, ast.If) and _is_guard(node.test):
        return [*node.orelse]
    return [*ast.iter_child_nodes(node)]


def _is_guard(test: ast.expr) -> bool:
    """Whether a condition holds of a script alone: ``__name__ == "__main__"``, or that and more."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_is_guard(part) for part in test.values)
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq)):
        return False
    sides = {ast.unparse(test.left), ast.unparse(test.comparators[0])}
    return sides == {"__name__", "'__main__'"}


def _does(call: ast.Call) -> bool:
    words = ast.unparse(call.func)
    return words in ENDS or words.rpartition(".")[2] in TRAINS


def _within(name: str, functions: dict[str, Function], seen: set[str]) -> ast.Call | None:
    """The first call within a function of the file, or one that it calls, that trains or ends the process."""
    if name not in functions or name in seen:
        return None
    seen.add(name)
    for call in _calls(functions[name].body):
        if _does(call):
            return call
        if isinstance(call.func, ast.Name) and (found := _within(call.func.id, functions, seen)) is not None:
            return found
    return None


def _model(tree: ast.Module) -> tuple[str, str]:
    """The variable that holds the file's model and the expression that makes it, as far as the file tells."""
    classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.bases]
    trained = {_owner(call) for call in _calls(tree.body) if _does(call)}
    given = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.Call)
    }
    own = [name for name, value in given.items() if ast.unparse(value.func) in classes]
    of_interest = [*own, *(name for name in given if name in trained and not own)]
    if of_interest:
        return of_interest[0], _short(given[of_interest[0]])
    return "model", f"{classes[-1]}()" if classes else "model"


def _owner(call: ast.Call) -> str:
    return ast.unparse(call.func).partition(".")[0]


def _short(value: ast.expr) -> str:
    words = ast.unparse(value)
    return words if len(words) <= LONGEST or not isinstance(value, ast.Call) else f"{ast.unparse(value.func)}(...)"
