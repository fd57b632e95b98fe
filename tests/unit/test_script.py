"""A file is read before it is run: what would train or end at its import is found, and nothing else."""

from __future__ import annotations

import ast

import pytest

from initlab.core.script import factory_lines, first_deed, makers

GUARD = "if __name__ == '__main__':\n    "
TRAINS = {
    "net.fit(x, y)": (1, "net.fit", ""),
    "x = 3\nfor a in b:\n    with c:\n        loss(a).backward()": (4, "loss(a).backward", ""),
    "history = keras.Sequential([]).fit(x)": (1, "keras.Sequential([]).fit", ""),
    "try:\n    o.step()\nexcept ValueError:\n    pass": (2, "o.step", ""),
    "import sys\nsys.exit(main())": (2, "sys.exit", ""),
    "def main():\n    run()\ndef run():\n    o.step()\nmain()": (5, "o.step", "main"),
    "class A:\n    net.fit(x)": (2, "net.fit", ""),
    "if __name__ != '__main__':\n    net.fit(x)": (2, "net.fit", ""),
    f"{GUARD}pass\nelse:\n    net.fit(x)": (4, "net.fit", ""),
    "[net.fit(x) for x in xs]": (1, "net.fit", ""),
    "def build(n=net.fit(x)): pass": (1, "net.fit", ""),
}
HARMLESS = [
    f"{GUARD}net.fit(x)",
    "if '__main__' == __name__ and x:\n    net.fit(x)",
    "def main():\n    net.fit(x)",
    "later = lambda: net.fit(x)",
    "class A:\n    def go(self):\n        self.fit(1)",
    "def a():\n    b()\ndef b():\n    a()\na()",
    "net.fitted(x)\nfit = 3\nnet.train_step",
]


@pytest.mark.parametrize(("text", "deed"), TRAINS.items())
def test_what_an_import_would_train_or_end_is_found_with_its_line(text: str, deed: tuple[int, str, str]) -> None:
    found = first_deed(ast.parse(text))
    assert found is not None
    assert (found.line, found.call, found.through) == deed


@pytest.mark.parametrize("text", HARMLESS)
def test_what_no_import_would_run_is_left_alone(text: str) -> None:
    assert first_deed(ast.parse(text)) is None


@pytest.mark.parametrize(
    ("text", "model"),
    {
        "class Net(Module): pass\nother = f(2)\nmine = Net(3, width=5)\nmine.fit(x)": "Net(3, width=5)",
        "class Loss(Module): pass\nclass Net(Module): pass\ndef main(): Net().fit(x)\nmain()": "Net()",
        "m = nn.Linear(3, 5)\nm.train()": "nn.Linear(3, 5)",
        f"m = Sequential({[*range(40)]})\nm.fit(x)": "Sequential(...)",
    }.items(),
)
def test_the_five_lines_of_a_factory_build_the_files_own_model(text: str, model: str) -> None:
    lines = factory_lines(ast.parse(text))
    assert len(lines) == 5
    assert lines[1] == f"    return {model}"
    ast.parse("\n".join(lines))


def test_a_function_that_trains_or_needs_an_argument_makes_no_model() -> None:
    text = "class Net(M): pass\nclass Row: pass\ndef a(n): pass\ndef b(*, n): pass\ndef c(n=2): pass\ndef d(): m.fit(1)"
    assert makers(ast.parse(text)) == ["Net", "c"]
