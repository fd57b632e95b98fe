"""Small changes: arithmetic, comparisons, constants, Booleans and returned values; texts and types stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators import (
    binary_operator_replacement,
    boolean_replacer,
    comparison_operator_replacement,
    number_replacer,
    unary_operator_replacement,
)
from cosmic_ray.operators.operator import Example, Operator
from parso.python.tree import Keyword, Name, ReturnStmt
from parso.tree import NodeOrLeaf

ARITHMETIC = ("Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "FloorDiv_Div", "Mod_Mul", "Pow_Mul")
COMPARISONS = (
    *("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt"),
    *("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"),
)
SIGNS = ("Delete_USub", "Delete_Not")

ARITHMETIC_NODES = {"arith_expr", "term", "power"}
"""What a binary operator stands in; the stars of signatures and calls stand in others."""
TEXTS = {"fstring", "strings", "raise_stmt"}
TYPES = {"annassign", "tfpdef", "decorator", "import_from", "import_name"}


class ReturnNone(Operator):
    """Replaces a returned value by None; a returned Boolean is left to the operators on constants."""

    def mutation_positions(self, node: NodeOrLeaf) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
        """Where a value is returned."""
        if isinstance(node, ReturnStmt) and not isinstance(node.children[1], Keyword):
            yield node.children[1].start_pos, node.children[1].end_pos

    def mutate(self, node: ReturnStmt, index: int) -> ReturnStmt:
        """The statement with None in place of its value."""
        value = node.children[1]
        node.children[1] = Name("None", value.start_pos, prefix=" ")
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        """What cosmic-ray asks of an operator."""
        return (Example("def f(x):\n    return x", "def f(x):\n    return None"),)


@cache
def operators() -> dict[str, Operator]:
    """The operators by name."""
    groups = (
        (binary_operator_replacement, ARITHMETIC),
        (comparison_operator_replacement, COMPARISONS),
        (unary_operator_replacement, SIGNS),
    )
    found = [kind for module, ends in groups for kind in module.operators() if kind.__name__.endswith(ends)]
    booleans = ("ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd")
    found += [getattr(boolean_replacer, name) for name in booleans]
    return {kind.__name__: kind() for kind in (*found, number_replacer.NumberReplacer, ReturnNone)}


@dataclass(frozen=True)
class Mutation:
    """One small change of one file.

    Attributes:
        file: Relative to the repository.
        operator: Its name in `operators`.
        occurrence: Which of the places where the operator applies, from 0.
        line: Counted from 1.
        function: The function or class that holds it, e.g. ``Plan.text``; empty at the top of a module.
    """

    file: str
    operator: str
    occurrence: int
    line: int
    function: str

    def apply(self, source: str) -> str:
        """The changed source."""
        changed = mutate_code(source, operators()[self.operator], self.occurrence)
        assert changed is not None
        return changed


@dataclass(frozen=True)
class Change:
    """A line before and after a mutation, without its indentation."""

    before: str
    after: str

    def __str__(self) -> str:
        """The two lines, one below the other."""
        return f"  - {self.before}\n  + {self.after}"


def change(source: str, mutation: Mutation) -> Change:
    """What a mutation changes, from the first line that differs to the last."""
    old, new = source.splitlines(), mutation.apply(source).splitlines()
    first = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    left, right = len(old), len(new)
    while left > first + 1 and right > first + 1 and old[left - 1] == new[right - 1]:
        left, right = left - 1, right - 1
    return Change(*(" ".join(line.strip() for line in lines) for lines in (old[first:left], new[first:right])))


def mutations(root: Path, file: str) -> list[Mutation]:
    """Every mutation of a file, in the order of its text; a few of them may be no Python."""
    source = (root / file).read_text(encoding="utf-8")
    seen: Counter[str] = Counter()
    found = []
    for node in ast_nodes(get_ast(source)):
        for name, operator in operators().items():
            for start, _ in operator.mutation_positions(node):
                mutation = Mutation(file, name, seen[name], start[0], function_of(node))
                seen[name] += 1
                if is_meant(node, name):
                    found.append(mutation)
    return found


def is_meant(node: NodeOrLeaf, operator: str) -> bool:
    """Whether a node is code that computes: no text, no type, no star of a signature."""
    if operator.startswith("ReplaceBinary") and node.parent.type not in ARITHMETIC_NODES:
        return False
    inner = node
    while node.parent is not None:
        inner, node = node, node.parent
        if node.type in TEXTS | TYPES:
            return False
        if node.type == "funcdef" and inner is node.annotation:
            return False
        if node.type == "trailer" and node.get_previous_sibling().get_code().strip() in ("Literal", "TypeVar"):
            return False
    return True


def function_of(node: NodeOrLeaf) -> str:
    """The functions and classes around a node, joined by dots."""
    names: list[str] = []
    while node.parent is not None:
        node = node.parent
        if node.type in ("funcdef", "classdef"):
            names.insert(0, node.name.value)
    return ".".join(names)


def is_python(source: str) -> bool:
    """Whether it compiles."""
    try:
        compile(source, "<mutated>", "exec")
    except SyntaxError:
        return False
    return True
