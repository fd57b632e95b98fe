"""Run by the Python of an environment that holds the wheel and one extra: everything works, or names what to install.

python check.py REPOSITORY torch    # the framework that is there; "" for none
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import subprocess
import sys
from pathlib import Path

TO_INSTALL = re.compile(r"needs? [\w.-]+[^\n]*: pip install '?[\w\[\],.-]+'?$", re.MULTILINE)
NETS = {
    "torch": "import torch\ndef build():\n    nn = torch.nn\n"
    "    return nn.Sequential(nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10)), torch.randn(40, 64)\n",
    "keras": "import keras, numpy\ndef build():\n"
    "    net = keras.Sequential([keras.Input((64,)), keras.layers.Dense(30, 'relu'), keras.layers.Dense(10)])\n"
    "    return net, numpy.random.default_rng(3).normal(size=(40, 64)).astype('float32')\n",
}
COMMANDS = (
    "--version", "list schemes", "list tasks", "show he_normal", "theory tanh", "theory tanh --png tanh.png",
    "explain", "explain symmetry", "museum list", "museum show 1", "paper",
    "compare iris --seeds 1 --epochs 1", "compare depth",
)  # fmt: skip
OF_A_MODEL = (
    "plan net.py:build", "probe net:build", "probe net:build --png probe.png", "blame net:build",
    "lock net:build", "audit net:build --lock initlab.lock.json", "init net:build --out net.safetensors",
)  # fmt: skip


def check_program(words: str, code: int) -> None:
    """The installed program ends so, and a refusal is one line that says what to install."""
    program = Path(sys.executable).with_name("initlab")
    done = subprocess.run([program, *words.split()], capture_output=True, text=True, check=False, timeout=300)
    expect(done.returncode == code, words, done.stdout, done.stderr)
    expect(code == 0 or TO_INSTALL.search(done.stderr.strip()), words, done.stderr)


def check_command(words: str) -> None:
    """It ends well, or in one line that says what to install."""
    from initlab.__main__ import main

    told = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        code = main(words.split())
    lines = [line for line in told.getvalue().strip().splitlines() if not line.startswith("initlab: notice:")]
    expect(code == 0 or (code == 2 and len(lines) == 1 and TO_INSTALL.search(lines[0])), words, code, lines)


def check_help() -> int:
    """Every command tells its help; as many as there are."""
    import typer
    from typer.testing import CliRunner

    from initlab.cli.main import app

    seen, waiting = 0, [([], typer.main.get_command(app))]
    while waiting:
        words, found = waiting.pop()
        done = CliRunner().invoke(app, [*words, "--help"])
        expect(done.exit_code == 0, words, done.output)
        seen += 1
        waiting += [([*words, name], inner) for name, inner in getattr(found, "commands", {}).items()]
    return seen


def expect(held: object, *what: object) -> None:
    """Nothing, where it holds."""
    if not held:
        raise AssertionError(what)


def check_names() -> None:
    """Every public name is there, or says which extra brings it."""
    import initlab

    for name in initlab.__all__:
        try:
            getattr(initlab, name)
        except initlab.InitlabError as error:
            expect(TO_INSTALL.search(str(error)), name, error)


def check_readme(repository: Path, framework: str) -> int:
    """Every piece of Python in the README runs, or says in one line what to install; as many as ran to their end."""
    import initlab

    blocks = re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text("utf-8"), flags=re.DOTALL)
    room: dict[str, object] = {"initlab": initlab}
    if framework:
        sys.path.insert(0, os.getcwd())
        room["model"], room["x"] = __import__("net").build()
    ran = 0
    for block in blocks:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(block, "README.md", "exec"), room)
            ran += 1
        except initlab.InitlabError as error:
            expect(TO_INSTALL.search(str(error)), block, error)
        except ModuleNotFoundError as error:  # the README's own import of a framework
            expect(error.name in ("torch", "keras", "flax", "jax"), block, error)
        except NameError:
            expect(not framework, block)
    return ran


def main() -> None:
    """Check the environment that this Python belongs to."""
    repository, framework = Path(sys.argv[1]), sys.argv[2]
    if framework:
        Path("net.py").write_text(NETS[framework], encoding="utf-8")
    check_names()
    print(f"{check_readme(repository, framework)} pieces of the README ran")
    if importlib.util.find_spec("typer") is None:
        check_program("", 2)
        return
    check_program("", 0)
    print(f"{check_help()} commands told their help")
    for words in (*COMMANDS, *(OF_A_MODEL if framework else ())):
        check_command(words)


if __name__ == "__main__":
    main()
