"""A file of the user's stands for a module: nothing of it runs before it was read and tried elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from initlab import Mlp
from initlab.cli.factory import built_model
from initlab.cli.main import main
from initlab.core.errors import InitlabError
from initlab.core.factory_files import dotted_of_file

NET = "from initlab import Mlp\ndef build(width=8, *, classes=3):\n    return Mlp((4, width, classes))\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("door_")]:
        del sys.modules[name]


def test_a_file_is_taken_with_arguments_that_are_literals(folder: Path) -> None:
    (folder / "door_a.py").write_text(NET)
    assert built_model("door_a.py:build")[0] == Mlp((4, 8, 3))
    assert built_model("door_a.py:build(5, classes=2)")[0] == Mlp((4, 5, 2))


def test_a_file_of_a_package_keeps_its_relative_imports(folder: Path) -> None:
    (folder / "door_pkg").mkdir()
    (folder / "door_pkg" / "__init__.py").write_text("")
    (folder / "door_pkg" / "sizes.py").write_text("WIDTH = 6\n")
    (folder / "door_pkg" / "net.py").write_text(f"from .sizes import WIDTH\n{NET}\ndef own(): return build(WIDTH)\n")
    assert built_model("door_pkg/net.py:own")[0] == Mlp((4, 6, 3))


def test_a_file_that_trains_is_refused_unrun_with_its_line_and_five_lines_to_paste(folder: Path, capsys) -> None:
    (folder / "door_b.py").write_text("open('ran', 'w')\nclass Net(dict): pass\nnet = Net(a=3)\nnet.fit(1)\n")
    assert main(["plan", "door_b.py:Net"]) == 2
    assert not (folder / "ran").exists()
    told = capsys.readouterr().err
    assert "line 4 calls net.fit()" in told
    assert "    def build():\n        return Net(a=3)\n" in told


REFUSED = {
    "import sys\nif len(sys.argv) > 1: raise ValueError(sys.argv)\ninput()\n": "EOFError",
    "raise SystemExit(3)\n": "SystemExit: 3",
    "import os\nos.kill(os.getpid(), 9)\n": "exit code -9",
    "import time\nwhile True: time.sleep(0.01)\n": "took more than 2 s",
    "def build(:\n": "line 1",
}


@pytest.mark.parametrize(("text", "told"), REFUSED.items())
def test_an_import_that_ends_badly_does_so_in_a_process_of_its_own(folder: Path, text: str, told: str) -> None:
    (folder / "door_c.py").write_text(text)
    with pytest.raises(InitlabError, match=told):
        dotted_of_file("door_c.py:build", patience=2)
    assert "door_c" not in sys.modules


@pytest.mark.parametrize("call", ["build(open('x'))", "build(*[1])", "build(**{})", "build(1", "build(x)", "build()()"])
def test_arguments_that_are_no_literals_are_refused(folder: Path, call: str) -> None:
    (folder / "door_a.py").write_text(NET)
    with pytest.raises(InitlabError):
        built_model(f"door_a.py:{call}")


def test_a_file_alone_is_answered_by_what_it_holds(folder: Path) -> None:
    (folder / "door_a.py").write_text(NET)
    with pytest.raises(InitlabError, match=r"names no model: write door_a\.py:build$"):
        dotted_of_file("door_a.py")


@pytest.mark.parametrize(
    ("asked", "told"),
    {
        "door_a.py:biuld": r"there is no 'biuld' in door_a\.py: did you mean door_a\.py:build\?$",
        "door_a.py:Network": r"there is no 'Network' in door_a\.py: it has door_a\.py:build$",
        "door_a:biuld(3)": r"there is no 'biuld' in door_a: did you mean door_a:build\?$",
    }.items(),
)
def test_a_name_that_is_not_there_is_answered_in_the_form_it_was_asked_in(folder: Path, asked: str, told: str) -> None:
    (folder / "door_a.py").write_text(NET)
    with pytest.raises(InitlabError, match=told):
        built_model(asked)


def test_a_file_whose_name_python_has_for_another_module_is_not_mixed_up_with_it(folder: Path) -> None:
    (folder / "types.py").write_text(NET)
    with pytest.raises(InitlabError, match="another module named 'types'"):
        dotted_of_file("types.py:build")


@pytest.mark.parametrize("file", ["net.pt", "net.pth", "net.pt2", "net.pkl"])
def test_no_pickle_is_opened(folder: Path, file: str) -> None:
    (folder / file).write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(InitlabError, match=r"may hold a pickle.*train\.py:build"):
        dotted_of_file(file)
    assert not (folder / "ran").exists()
