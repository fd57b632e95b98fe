"""Which activation made the input of each weighted sum and which takes its output, read off the graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import sqrt
from types import MappingProxyType

import numpy as np

from initlab.frameworks.reading.composition import Composition
from initlab.frameworks.reading.gaussian import Evaluate, chi_1, moments_of, passes_through
from initlab.frameworks.reading.graph import Function, Graph, Node, Numbers
from initlab.frameworks.reading.pools import Pool, pools
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.reading.sources import (
    Source,
    averaged,
    mixture_of,
    moments_behind,
    of_cell,
    product_of,
    sizes_of,
    sum_of,
)

STEEP = 2.0  # the chi_1 from which on a factor before a function belongs to the weight before it


class Flow:
    """Answers about one graph; what was answered once is kept.

    Args:
        graph: The graph.
        recognise: What a function of each entry is, of the arrays that the graph's functions take.
        evaluate: What such a function makes of numbers.
        scales: The native names of the norms' scales.
        held: What parameters hold that initlab did not write, by native name.
    """

    def __init__(
        self,
        graph: Graph,
        recognise: Callable[[Function], Recognised],
        evaluate: Evaluate,
        scales: Collection[str] = (),
        held: Mapping[str, Numbers] = MappingProxyType({}),
    ) -> None:
        self._graph = graph
        self._evaluate = evaluate
        self._made_of = Composition(graph, scales)
        self._recognise = recognise
        self._held = held
        self._factors: dict[Node, tuple[Node, float] | None] = {}
        self._sources: dict[Node, Source] = {}
        self._recognised: dict[tuple[Node, Node], tuple[tuple[float, Recognised], ...]] = {}
        self._names: dict[Node, str | None] = {}
        self._began: dict[Node, float] = {}
        self._beside: dict[Node, float] = {}
        self._streams_are_known = False

    @cached_property
    def _consumers(self) -> dict[Node, list[Node]]:
        """What was made of each value; what leads to no output and no weight counts only where nothing else does.

        A condition, as in ``if z.abs().max() > 1``, and a statistic for a log only look at a value.
        """
        useful, outputs = self._graph.useful(), set(self._graph.outputs)
        return {
            node: [taker for taker in takers if taker in useful] or ([] if node in outputs else takers)
            for node, takers in self._graph.consumers().items()
        }

    @cached_property
    def _pools(self) -> Mapping[Node, Pool]:
        if not any(node.form == "pool" for node in self._graph.nodes):
            return {}
        return pools(self._graph, self._function_of)

    def _function_of(self, node: Node) -> tuple[Node, Recognised] | None:
        atom = self._atom(node)
        return (atom, self.recognised(node)) if atom is not None and self._is_function(node) else None

    def source(self, node: Node) -> Source:
        """What made the entries of a value."""
        pending = [node]  # not by recursion: a graph may be deeper than Python's stack
        while pending:
            at = pending[-1]
            missing = [one for one in self._needed(at) if one not in self._sources]
            if at in self._sources or not missing:
                pending.pop()
                self._sources.setdefault(at, Source())
                self._sources[at] = self._source(at)
            else:
                pending += missing
        return self._sources[node]

    def _needed(self, node: Node) -> tuple[Node, ...]:
        """The values whose sources decide that of a value."""
        if node.again is not None:
            atoms = self._made_of.atoms(node) or ()
            return node.inputs if atoms == (node,) else atoms
        if node.kind in ("elementwise", "pass"):
            return node.inputs[:1]
        return node.inputs if node.kind in ("add", "mul", "concat") else ()

    def _source(self, node: Node) -> Source:
        below = [self._sources[one] for one in self._needed(node)]
        if node.kind == "norm":
            return Source(moment=1.0, normed=True)
        if node.again is not None and self._made_of.atoms(node) != (node,):
            return self._of_atoms(node, below)
        if node in self._pools:
            pool = self._pools[node]
            return Source(f=pool.f, moment=pool.second, mean=pool.mean)
        if node.kind == "pass" and "cum" in node.name:  # running sums, each of another size
            return Source(unknown=node.name, hidden=True)
        if node.kind == "pass":
            return below[0] if below else Source()
        if node.kind == "add":
            return sum_of(below)
        if node.kind == "mul":
            return product_of(below)
        if node.kind == "concat":
            return mixture_of(below, sizes_of(node))
        if node.kind in ("elementwise", "unknown"):
            return Source(unknown=node.name, hidden=node.name != "softmax")
        if node.form == "table":
            return Source(tables=1)
        return of_cell(node) if node.form == "recurrent" else self._of_sum(node)

    def _of_sum(self, node: Node) -> Source:
        """A weighted sum has variance 1; a bias that its author set to one number stays, and is its mean."""
        names = [name for name in self._graph.biases.get(node, ()) if name not in node.params]
        mean = sum(map(self._shift, names))
        return Source(moment=1.0 + mean**2, mean=mean) if mean else Source()

    def _shift(self, name: str) -> float:
        numbers = np.asarray(self._held[name]()).reshape(-1) if name in self._held else np.zeros(0)
        return float(numbers[0]) if numbers.size > 1 and bool((numbers == numbers[0]).all()) else 0.0

    def _of_atoms(self, node: Node, below: Sequence[Source]) -> Source:
        """A function of each entry of one value, or of several that are independent."""
        atoms = self._made_of.atoms(node)
        if atoms is None:
            return Source(unknown=f"{node.name} of values that may depend on each other", hidden=True)
        if len(atoms) == 1:
            return self._of_one(node, atoms[0], below[0])
        unknown = next((one for one in below if one.unknown), None)
        functions = list(self._made_of.functions(node, atoms))
        if unknown is not None:
            return unknown
        sizes = [(one.first, sqrt(max(one.second - one.first**2, 0.0))) for one in below]
        moments = [(share, moments_of(f, self._evaluate, sizes)) for share, f in functions]
        found = averaged([(share, *one) for share, one in moments if one is not None], len(functions), node.name)
        stream = next((at for at in range(len(atoms)) if self._is_stream(functions, atoms, at)), None)
        if stream is not None and not found.unknown:
            began = self._began.get(atoms[stream], below[stream].second)
            self._began[node] = began
            self._beside |= dict.fromkeys((one for n, one in enumerate(atoms) if n != stream), began)
        return found

    def _is_stream(self, functions: Sequence[tuple[float, Function]], atoms: Sequence[Node], at: int) -> bool:
        """Whether a value goes through a mixture of it and of what layers make of it: ``t f(W x) + (1 - t) x``."""
        layers = [atom for n, atom in enumerate(atoms) if n != at]
        if not all(layer.kind == "weight" and self._leads_to(atoms[at], layer) for layer in layers):
            return False
        return all(passes_through(f, self._evaluate, len(atoms), at) for _, f in functions)

    def _leads_to(self, value: Node, node: Node) -> bool:
        stack, seen = list(node.inputs), set[Node]()
        while stack:
            one = self._made_of.same(stack.pop())
            if one is value:
                return True
            if one not in seen:
                seen.add(one)
                stack += one.inputs
        return False

    def carried_past(self, node: Node) -> float | None:
        """The mean square with which a stream began that gates let past a weighted sum; None where there is none."""
        if not self._streams_are_known:
            for one in self._graph.nodes:
                if one.again is not None and one.kind == "add":
                    self.source(one)
            self._streams_are_known = True
        return self._beside.get(self._made_of.same(node))

    def _of_one(self, node: Node, atom: Node, below: Source) -> Source:
        rows = self.functions_of(node)
        if atom.kind == "weight" and below.mean:
            return self._of_shifted(node, atom, below)
        if len(rows) == 1:
            _, what = rows[0]
            if what.f is not None and self.factor(node) is None:
                return Source(f=what.f)
            if what.slope is not None and not what.offset and (below.unknown or what.slope in (1.0, -1.0)):
                return below
        if any(what.slope is not None for _, what in rows) and below.unknown:
            return below
        factor = self.factor(node)
        if factor is not None:
            inner = self._recognise_all(node, factor[0])
            rows = inner if len(inner) == len(rows) else rows
        known = [(share, *moments_behind(what, below)) for share, what in rows if what.is_known]
        found = averaged(known, len(rows), node.name)
        return found if found.unknown or factor is not None else replace(found, f=self.name(node))

    def _of_shifted(self, node: Node, atom: Node, below: Source) -> Source:
        """A function of a weighted sum that has a mean; an activation keeps its name."""
        functions, size = list(self._made_of.functions(node, [atom])), (below.mean, 1.0)
        moments = [(share, moments_of(f, self._evaluate, [size])) for share, f in functions]
        found = averaged([(share, *one) for share, one in moments if one is not None], len(functions), node.name)
        return found if found.unknown else replace(found, f=self.name(node))

    def recognised(self, node: Node) -> Recognised:
        """The activation that a value is of the one that it is a function of, where its parameters have one number."""
        rows = self.functions_of(node)
        return rows[0][1] if len(rows) == 1 else Recognised()

    def name(self, node: Node) -> str | None:
        """The activation that a value is, of the one it is a function of; biases and the sign do not change that."""
        if node not in self._names:
            self._names[node] = self._found_name(node)
        return self._names[node]

    def _found_name(self, node: Node) -> str | None:
        found, atom = self.recognised(node).f, self._atom(node)
        if found is not None or atom is None:
            return found
        plain = [f for _, f in self._made_of.functions(node, [atom], shifted=False)]
        if len(plain) != 1:
            return None
        (f,) = plain
        return self._recognise(f).f or self._recognise(lambda z: -f(z)).f

    def functions_of(self, node: Node) -> tuple[tuple[float, Recognised], ...]:
        """What a value is of the one value that it is a function of, for each share of the parameters in it."""
        atoms = self._made_of.atoms(node) or ()
        return self._recognise_all(node, atoms[0]) if len(atoms) == 1 else ()

    def _recognise_all(self, node: Node, atom: Node) -> tuple[tuple[float, Recognised], ...]:
        if (node, atom) not in self._recognised:
            functions = self._made_of.functions(node, [atom])
            self._recognised[node, atom] = tuple((share, self._recognise(f)) for share, f in functions)
        return self._recognised[node, atom]

    def factor(self, node: Node) -> tuple[Node, float] | None:
        """The factor before a steep function, which belongs to the weight that makes what the function takes.

        Returns:
            The value that the function is of, and its factor; None where there is none.
        """
        if node not in self._factors:
            atom = self._atom(node)
            self._factors[node] = None if atom is None else self._found_factor(node, atom)
        return self._factors[node]

    def _found_factor(self, node: Node, atom: Node) -> tuple[Node, float] | None:
        for one in self._made_of.inside(node, atom):
            slopes = [(share, what.slope) for share, what in self._recognise_all(one, atom) if not what.offset]
            if not slopes or any(slope in (None, 0.0) for _, slope in slopes):
                continue
            size = sqrt(sum(share * slope**2 for share, slope in slopes if slope is not None))
            steep = (chi_1(f, self._evaluate) or 0.0 for _, f in self._made_of.functions(node, [atom]))
            return (one, size) if size > 1.0 and any(n > STEEP for n in steep) else None
        return None

    def frequency(self, node: Node) -> float | None:
        """The factor that belongs to a weighted sum: that of every steep function that takes it; None without one."""
        found = {made[1] for taker in self._functions_behind(node) if (made := self.factor(taker)) is not None}
        return found.pop() if len(found) == 1 else None

    def _functions_behind(self, node: Node) -> list[Node]:
        """The functions of each entry of a value, as far as they go."""
        found, stack = dict[Node, None](), [node]
        while stack:
            for taker in self._consumers.get(stack.pop(), ()):
                if taker not in found and self._is_function(taker) and self._atom(taker) is self._made_of.same(node):
                    found[taker] = None
                    stack.append(taker)
        return [one for one in found if self._is_whole(one)]

    def carried(self, node: Node) -> tuple[Node, ...]:
        """The values whose size a value's own size follows: of a product with gates, the factors that are none."""
        if node.kind in ("pass", "norm"):
            return node.inputs[:1]
        if node.kind == "mul":
            return tuple(one for one in node.inputs if not self._is_gate(one)) or node.inputs
        return node.inputs

    def _is_gate(self, node: Node) -> bool:
        """Whether a value is an activation's: a scale of what the activation takes is not one of the value."""
        while node.kind in ("pass", "elementwise"):
            if node.kind == "elementwise" and self.recognised(node).slope is None:
                return True
            if not node.inputs:
                return False
            node = node.inputs[0]
        return node.name == "softmax"

    def carriers(self, node: Node) -> list[Node]:
        """What takes a value as its signal, rather than to measure it."""
        return [taker for taker in self._consumers.get(node, ()) if not self._is_statistic(taker)]

    def goes_on(self, node: Node) -> bool:
        """Whether a weighted sum takes a value, or something that was made of it."""
        seen, stack = set[Node](), [node]
        while stack:
            for taker in self._consumers.get(stack.pop(), ()):
                if taker.kind == "weight":
                    return True
                if taker not in seen:
                    seen.add(taker)
                    stack.append(taker)
        return False

    def takers(self, node: Node) -> tuple[str, ...]:
        """The activations that take a value, on every way from it up to the next weighted sum."""
        found: dict[str, None] = {}
        seen, stack = set[tuple[Node, bool]](), [(node, False)]
        while stack:
            at, summed = stack.pop()
            for taker in self._consumers.get(at, ()):
                for reached, is_summed in self._step(at, taker, summed, found):
                    if (reached, is_summed) not in seen:
                        seen.add((reached, is_summed))
                        stack.append((reached, is_summed))
        return tuple(found)

    def _step(self, at: Node, taker: Node, summed: bool, found: dict[str, None]) -> list[tuple[Node, bool]]:
        """Where a value goes on to, after one taker; an activation is put into ``found`` and ends the way."""
        if self._is_statistic(taker):
            return []
        if self._is_function(taker):
            if not self._is_whole(taker):
                return [(taker, summed)]
            what = self.recognised(taker)
            if what.slope is not None:
                return [(taker, summed)]
            if not self._opens(taker, what):
                found[self.name(taker) or ""] = None
            return []
        if not taker.inputs or taker.inputs[0] is not at:
            return [(taker, True)] if taker.kind == "add" else [(taker, summed)] if taker.kind == "concat" else []
        if taker.kind == "add":
            return [(taker, True)]
        if taker.kind == "norm":
            return [] if summed else [(taker, summed)]
        return [(taker, summed)] if taker.kind in ("pass", "concat") else []

    def _is_statistic(self, node: Node) -> bool:
        """Whether a value only measures others, as the mean square does in a norm that is written out."""
        stack, measures = [node], False
        while stack:
            at = stack.pop()
            takers = self._consumers.get(at, ())
            if at.kind not in ("elementwise", "pass") or not takers:
                return False
            for taker in takers:
                if taker.kind in ("norm", "pass") and at is not taker.inputs[0]:
                    measures = True
                else:
                    stack.append(taker)
        return measures

    def _is_function(self, node: Node) -> bool:
        """Whether a value is a function of each entry of one other value."""
        return node.again is not None and len(self._made_of.atoms(node) or ()) == 1 and self._atom(node) is not node

    def _atom(self, node: Node) -> Node | None:
        atoms = self._made_of.atoms(node) or ()
        return atoms[0] if len(atoms) == 1 else None

    def _is_whole(self, node: Node) -> bool:
        """Whether a function ends here: something other than a further function of the same value takes it."""
        takers, atom = self._consumers.get(node, ()), self._atom(node)
        return not takers or any(not self._is_function(taker) or self._atom(taker) is not atom for taker in takers)

    def _opens(self, node: Node, what: Recognised) -> bool:
        """Whether a value is a gate: a share, of which nothing is made but products with other values."""
        takers = self._consumers.get(node, ())
        is_gate = bool(takers) and all(taker.kind == "mul" and not self._is_function(taker) for taker in takers)
        return what.is_share and is_gate
