"""Bad input of every command: one line on standard error, exit code 2, and a folder that is as it was."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

from initlab.cli.main import main
from initlab.schemes.base import SCHEMES

LONG = "x" * 300
DEEP = "[" * 3000
NESTED = f"normal(std={'-' * 100_000}1)"

MODULES = {
    "fine": "from initlab import Mlp\nnet = Mlp((4, 8, 3))\nnumber = 3\ndef build(): return net\n",
    "exits_words": "import sys\ndef build(): return 1\nsys.exit('bye')\n",
    "exits_zero": "import sys\ndef build(): return 1\nsys.exit(0)\n",
    "exits_plain": "def build(): return 1\nraise SystemExit\n",
    "exits_hard": "import os\ndef build(): return 1\nos._exit(0)\n",
    "main_script": "import sys\ndef build(): return 1\ndef main(): return 0\nsys.exit(main())\n",
    "torn_syntax": "def build(:\n",
    "torn_import": "import no_such_package_at_all\n",
    "torn_shy": "class Shy(Exception):\n    def __str__(self): raise RuntimeError('no')\nraise Shy\n",
    "torn_deep": "def build(): return build()\n",
    "torn_lines": "raise ValueError('one\\ntwo\\x1b[31mthree')\n",
    "factories": (
        "import os, sys\n"
        "def words(): sys.exit('bye')\n"
        "def zero(): sys.exit(0)\n"
        "def hard(): os._exit(0)\n"
        "def nothing(): pass\n"
        "def raises(): raise RuntimeError('no such\\nfile')\n"
        "def needs(x): return x\n"
        "async def later(): return 1\n"
        "def parts(): yield 1\n"
        "def text(): return 'model'\n"
        "def bare(): raise KeyError\n"
        "class Model: pass\n"
    ),
    "schemes_of_mine": (
        "import sys\nimport numpy as np\nfrom initlab import Mlp, register_scheme\n"
        "@register_scheme(name='mine_none')\ndef a(p): pass\n"
        "@register_scheme(name='mine_array')\ndef b(p): return np.zeros(p.shape)\n"
        "@register_scheme(name='mine_raises')\ndef c(p): raise ValueError('two\\nlines')\n"
        "@register_scheme(name='mine_exits')\ndef d(p): sys.exit(0)\n"
        "@register_scheme(name='mine_text')\ndef e(p): return 'normal'\n"
        "@register_scheme(name='mine_number')\ndef f(p): return 0.1\n"
        "@register_scheme(name='mine_later')\nasync def g(p): return None\n"
        "def build(): return Mlp((4, 8, 3))\n"
    ),
}

FACTORIES = {
    "exits_words:build": "importing 'exits_words' failed: SystemExit: bye",
    "exits_zero:build": "importing 'exits_zero' failed: SystemExit: 0",
    "exits_plain:build": "importing 'exits_plain' failed: SystemExit",
    "exits_hard:build": "importing 'exits_hard' failed: SystemExit: 0",
    "main_script:build": "__main__",
    "torn_syntax.py:build": "torn_syntax.py, line 1",
    "torn_lines.py:build": "ValueError: one two\\x1b[31mthree",
    "no_file.py:build": "there is no such file",
    "fine.py:build(x)": "no literals",
    "fine.py": "write fine.py:build",
    "torn_syntax:build": "importing 'torn_syntax' failed: SyntaxError",
    "torn_import:build": "no_such_package_at_all",
    "torn_shy:build": "Shy: its text raises RuntimeError",
    "torn_deep:build": "RecursionError",
    "torn_lines:build": "ValueError: one two\\x1b[31mthree",
    "factories:words": "raised SystemExit: bye",
    "factories:zero": "raised SystemExit: 0",
    "factories:hard": "raised SystemExit: 0",
    "factories:nothing": "returned None",
    "factories:raises": "raised RuntimeError: no such file",
    "factories:needs": "raised TypeError",
    "factories:later": "is asynchronous",
    "factories:parts": "generator",
    "factories:text": "str",
    "factories:bare": "raised KeyError",
    "factories:Model": "Model",
    "factories:buidl": "there is no 'buidl'",
    "factories:": "names no function",
    ":build": "names no function",
    "factories": "names no function",
    "": "names no function",
    "no_module:build": "there is no module 'no_module'",
    "no.module:build": "there is no module 'no'",
    "fine.sub:build": "there is no module",
    "fine:number": "",
    f"{LONG}:build": "there is no module",
    f"fine:{LONG}": "there is no",
    "../fine:build": "",
    "fi ne:build": "there is no module",
}

COMMANDS = {
    "plan": ("plan", "{}"),
    "init": ("init", "{}", "--seed", "1", "--out", "w.safetensors"),
    "audit": ("audit", "{}", "--scheme", "he_normal"),
    "lock": ("lock", "{}"),
    "probe": ("probe", "{}", "--data", "digits"),
    "museum": ("museum", "check", "1", "{}"),
    "compare": ("compare", "--build", "{}", "--data", "iris", "--seeds", "1"),
}

# Words that name no scheme, law or option; each stands where a scheme is asked for.
CALLS = [
    *("he_norml", "he_normal(", "he_normal)", "he_normal(mood=fan_in)", "he_normal(mode=fan)", "he_normal(mode=1)"),
    *("he_normal(fan_in)", "he_normal(mode='fan_in", "normal(std=---1)", "normal(std=--1)", "normal(std=1e999)"),
    *(
        "normal(std=-1)",
        "normal(std=nan)",
        "normal(std=None)",
        "normal(std=True)",
        "normal(std='a')",
        "normal(std=[1])",
    ),
    *(
        "normal(std={})",
        "normal(std=1j)",
        "normal(std=1+1)",
        "normal(std=2**10)",
        "normal(std=x.y)",
        "normal(std=f(1))",
    ),
    *(
        "normal(std=0.1, std=0.2)",
        "normal(**x)",
        "normal(*x)",
        "normal(std=)",
        "normal(=1)",
        "normal(0.1)",
        "normal()()",
    ),
    *(
        "normal[0]",
        "normal.std",
        "a.b(c=1)",
        "lambda: 0",
        "()",
        "[]",
        "{}",
        "''",
        "1",
        "-",
        "--",
        "%",
        "\\",
        "\x1b[31m",
    ),
    *("normal(std=0.1)x", "normal std", "uniform(low=1,high=0)", "truncated_normal(std=-0.1)", "constant(value=inf)"),
    *("sparse(sparsity=2)", "constant(value=nan)", "uniform(low=nan)", "orthogonal(gain=inf)", LONG, DEEP, NESTED),
    *("__import__('os')", "normal(std=__import__('os'))", "he_normal;zeros", "he\u202enormal", "ZEROS!"),
]

SCHEME_COMMANDS = {
    "plan": ("plan", "fine:build", "--scheme", "{}"),
    "init": ("init", "fine:build", "--seed", "1", "--out", "w.safetensors", "--scheme", "{}"),
    "compare": ("compare", "iris", "--seeds", "1", "--epochs", "1", "--schemes", "{}"),
}

OTHERS = [
    # counts
    *(
        ("compare", "iris", option, value)
        for option in ("--seeds", "--epochs", "--batch-size", "--jobs")
        for value in ("0", "-1", "two", "1.5", "", "nan")
    ),
    *(("compare", "iris", "--learning-rate", value) for value in ("0", "-1", "nan", "inf", "x", "")),
    *(
        ("compare", "iris", "--learning-rates", value)
        for value in ("1e-3,", ",", "a", "0", "-1", "nan", "inf", "1e-3,1e-3")
    ),
    *(("compare", "iris", "--histograms-every", value) for value in ("0", "-1", "x")),
    # numbers without a bound
    ("compare", "iris", "--seeds", "1000000000"),
    ("compare", "iris", "--seeds", "1" * 200),
    ("compare", "iris", "--epochs", "10000000000"),
    ("compare", "iris", "--epochs", "10000000000", "--histograms-every", "1"),
    ("compare", "mnist", "--seeds", "1000000000"),
    ("compare", "depth", "--seeds", "1000000000"),
    ("theory", "relu", "--depth", "1000000000"),
    ("theory", "relu", "--depth", "1" * 200),
    ("theory", "relu", "--depth", "0"),
    ("theory", "relu", "--depth", "-1"),
    ("compare", "wide.toml"),
    ("compare", "many.toml"),
    ("compare", "recall.toml"),
    # studies
    *(
        ("compare", file)
        for file in (
            "deep.toml",
            "options.toml",
            "text.toml",
            "binary.toml",
            "empty.toml",
            "folder.toml",
            "no.toml",
            "fifo.toml",
            LONG,
            f"{LONG}.toml",
            "irsi",
            "",
            "..",
            "fine.py",
        )
    ),
    ("compare", "iris", "--build", "fine:build"),
    ("compare", "iris", "--framework", "tensorflow1"),
    ("compare", "iris", "--track", "nobody"),
    ("compare", "iris", "--track", LONG),
    ("compare", "iris", "--data", LONG),
    ("compare", "iris", "--loss", "mse"),
    ("compare", "iris", "--optimizer", "adam"),
    ("compare", "iris", "--remedies"),
    ("compare", "mnist", "--data", LONG),
    ("compare", "mnist", "--data", "no/such/folder"),
    ("compare", "iris", "--schemes", ""),
    ("compare", "iris", "--schemes", "zeros,zeros"),
    ("compare", "iris", "--out", "mine.txt", "--seeds", "1"),
    ("compare", "iris", "--out", "fifo", "--seeds", "1"),
    ("compare", "iris", "--out", "mine.txt/below", "--seeds", "1"),
    ("compare", "iris", "--out", LONG, "--seeds", "1"),
    ("compare", "depth", "--out", LONG, "--seeds", "1"),
    ("compare", "depth", "--out", "mine.txt"),
    # files to write
    *(
        (*words, out)
        for words in (("init", "fine:build", "--seed", "1", "--out"), ("lock", "fine:build", "--out"))
        for out in ("fifo", "device", "folder", "no/such/file", "mine.txt/below", LONG, "", "to_device")
    ),
    *(
        ("theory", "relu", "--png", out)
        for out in ("a.jpg", "a", "fifo.png", "folder.png", "no/such/a.png", f"{LONG}.png", "mine.txt/a.png", "")
    ),
    *(
        ("probe", "fine:build", "--png", out)
        for out in ("a.jpg", "a", "fifo.png", "folder.png", "no/such/a.png", f"{LONG}.png", "mine.txt/a.png")
    ),
    *(
        ("probe", "fine:build", "--html", out)
        for out in ("a.png", "a", "folder.html", "no/such/a.html", f"{LONG}.html")
    ),
    # probes
    *(
        ("probe", "fine:build", "--limits", limit)
        for limit in ("ratio", "ratio=", "ratio=x", "ratio=0", "ratio=-1", "ratio=nan", "rato=1", "=1", LONG)
    ),
    *(
        ("probe", "fine:build", "--data", data)
        for data in (
            "no.npz",
            "text.npz",
            "torn.npz",
            "lying.npz",
            "folder",
            "nobody",
            "fifo.npz",
            LONG,
            f"{LONG}.npz",
            "scalar.npz",
            "empty.npz",
            "objects.npz",
            "mine.npz",
        )
    ),
    ("probe", "fine:build"),
    ("probe", "fine:build", "--seed", "-1"),
    ("probe", "fine:build", "--seed", "x"),
    # audits
    ("audit", "fine:build"),
    ("audit", "fine:build", "--scheme", "zeros", "--recipe", "gpt2"),
    ("audit", "fine:build", "--recipe", "gtp2"),
    ("audit", "fine:build", "--recipe", DEEP),
    ("audit", "fine:build", "--scheme", "gpt2"),
    *(
        ("audit", "fine:build", "--lock", lock)
        for lock in ("no.json", "mine.txt", "folder", "fifo.json", "deep/comparison.json", LONG, "")
    ),
    # plans
    *(
        ("plan", "fine:build", option, glob)
        for option in ("--include", "--exclude")
        for glob in ("7*", LONG, "[", "nobody", "")
    ),
    ("init", "fine:build", "--seed", "1"),
    ("init", "fine:build", "--out", "w.safetensors"),
    *(("init", "fine:build", "--out", "w.safetensors", "--seed", seed) for seed in ("-1", "x", "1.5", "")),
    *(
        ("plan", "schemes_of_mine:build", "--scheme", name)
        for name in ("mine_none", "mine_array", "mine_raises", "mine_exits")
    ),
    # names
    *(
        (command, name)
        for command in ("show", "explain", "list", "theory")
        for name in (LONG, "nobody", "\x1b[31mred", "he_norml\n", "%s", DEEP)
    ),
    ("theory", "elu(alpha=---1)"),
    ("theory", "elu(alpha=x)"),
    ("theory", NESTED),
    *(
        ("theory", "relu", option, value)
        for option in ("--sigma-w", "--sigma-b", "--sigma-w2", "--sigma-b2")
        for value in ("-1", "nan", "x", "")
    ),
    ("theory", "relu", "--sigma-w", "1", "--sigma-w2", "1"),
    ("theory", "relu", "--sigma-b", "1", "--sigma-b2", "1"),
    *(("museum", "show", number) for number in ("0", "-1", "999", "1" * 300, "x", "")),
    *(("museum", "check", number, "fine:build") for number in ("0", "999", "x")),
    ("museum", "shwo"),
    *(("store", verb, place) for verb in ("verify", "gc") for place in ("nobody", "folder", "mine.txt", LONG, "fifo")),
    *(("store", "export", "nobody", "--out", place) for place in ("x.zip", "mine.txt", "nobody/x.zip")),
    *(("store", "import", place, "folder") for place in ("nobody", "fifo", "folder", LONG)),
    *(("store", "merge", place, "folder") for place in ("nobody", "fifo", "mine.txt", LONG)),
    *(("compare", "iris", "--timeout", value) for value in ("0", "-1", "nan", "x")),
    ("compare", "iris", "--fresh", "--allow-changed"),
    # usage
    ("comparison",),
    ("\x1b[31m",),
    (LONG,),
    ("--versoin",),
    *(
        (command, "--nobody")
        for command in (
            "audit",
            "compare",
            "explain",
            "init",
            "list",
            "lock",
            "museum",
            "plan",
            "probe",
            "report",
            "show",
            "store",
            "theory",
        )
    ),
    *((command,) for command in ("audit", "init", "list", "lock", "show", "theory", "report")),
    *(
        (command, "a", "b", "c", "d")
        for command in ("audit", "explain", "init", "list", "lock", "plan", "probe", "show", "theory", "report")
    ),
    ("report", "--diff", "a"),
    ("report", "a", "--diff", "a", "b"),
    # schemes of the user's own that are none, wherever one is drawn
    *(
        (*words, name)
        for words in (
            ("init", "schemes_of_mine:build", "--seed", "1", "--out", "w.safetensors", "--scheme"),
            ("audit", "schemes_of_mine:build", "--scheme"),
            ("plan", "schemes_of_mine:build", "--diff", "he_normal"),
            ("compare", "iris", "--seeds", "1", "--epochs", "1", "--schemes"),
        )
        for name in ("mine_none", "mine_array", "mine_raises", "mine_exits", "mine_text", "mine_number", "mine_later")
    ),
    *(("plan", "schemes_of_mine:build", "--scheme", name) for name in ("mine_text", "mine_number", "mine_later")),
    # two schemes, and weights of a file
    *(
        ("plan", "fine:build", "--diff", "he_normal", other)
        for other in ("he_norml", "normal(std=---1)", DEEP, LONG, "")
    ),
    ("plan", "fine:build", "--diff", "he_normal"),
    ("plan", "fine:build", "--diff", "he_normal", "zeros", "--scheme", "zeros"),
    *(
        (*words, file)
        for words in (("plan", "fine:build", "--weights"), ("init", "fine:build", "--out", "w.safetensors", "--from"))
        for file in ("nobody", "folder", "mine.txt", "fifo", "empty.npz", "torn.npz", "deep.safetensors", LONG, "")
    ),
    ("init", "fine:build", "--out", "w.safetensors", "--missing", "zeros"),
    # papers, the page, blame
    *(("paper", name) for name in ("he2015", LONG, DEEP, "\x1b[31m", "he2015-30-layers;", "../he2015-30-layers")),
    *(
        ("paper", "he2015-30-layers", "--set", value)
        for value in ("depth", "depth=", "depth=x", "depth=-1", "nobody=3", "=3", "depth=1e999", "depth=nan", LONG)
    ),
    *(("paper", "he2015-30-layers", "--seed", value) for value in ("-1", "x", "")),
    *(("paper", "he2015-30-layers", "--png", out) for out in ("a.jpg", "fifo.png", "folder.png", f"{LONG}.png", "")),
    *(("web", "--port", port) for port in ("-1", "65536", "x", "", "1" * 200)),
    *(
        ("web", "--no-browser", "--profile", file)
        for file in ("nobody", "folder", "mine.txt", "fifo", "empty.toml", LONG)
    ),
    *(("blame", factory) for factory in FACTORIES),
    # numbers that are words of another kind
    *(
        ("compare", "iris", option, value)
        for option in ("--first-seed", "--splits", "--test-share", "--target", "--vary", "--preprocess")
        for value in ("-1", "x", "nan", "1e400", LONG, "")
    ),
    *(("compare", "depth", option, value) for option in ("--epochs", "--batch-size") for value in ("0", "x", "-1")),
    *(("compare", "iris", "--store", place) for place in ("mine.txt", "fifo", "mine.txt/below", LONG)),
    ("compare", "iris", "--build", "fine:build", "--data", "iris"),
    ("compare", "--data", "iris"),
    *(
        ("compare", "--build", "fine:build", "--data", data)
        for data in ("nobody", "folder", "mine.txt", "fifo", LONG, "")
    ),
    *(("compare", "table.csv", "--target", column) for column in ("nobody", LONG, "")),
    ("compare", "one_column.csv"),
    ("compare", "torn.csv"),
    ("compare", "empty.csv"),
    ("compare", "one_class.csv"),
    ("compare", "table.csv", "--splits", "1000000000"),
    *(("theory", "relu", "--width", value) for value in ("0", "-1", "x", "nan", "1" * 200)),
    *(("lock", "fine:build", "--seed", value) for value in ("-1", "x", "")),
    *(
        ("store", "export", "hollow", "--out", place)
        for place in ("folder", "fifo", "mine.txt/x.zip", "no/such/x.zip", LONG)
    ),
    *(("store", verb) for verb in ("verify", "gc", "export", "import", "merge", "nobody")),
]

# A folder that holds no comparison is exit code 4.
STORES = [
    *(("report", place) for place in ("nobody", "folder", "mine.txt", LONG, "deep", "text", "fifo", "hollow")),
    *(("report", "--diff", place, "nobody") for place in ("nobody", "folder", "mine.txt", LONG, "deep", "text")),
]


def _cases() -> Iterator[tuple[int, tuple[str, ...], str]]:
    for words in COMMANDS.values():
        for factory, told in FACTORIES.items():
            yield 2, tuple(word.replace("{}", factory) for word in words), told
    for words in SCHEME_COMMANDS.values():
        for call in CALLS:
            yield 2, tuple(word if word != "{}" else call for word in words), ""
    yield from ((2, argv, "") for argv in OTHERS)
    yield from ((4, argv, "") for argv in STORES)


CASES = list(_cases())


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder with modules, studies, arrays, a pipe and a device of the user's."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    head = 'name = "x"\ntask = "iris"\nschemes = ["zeros"]\nhidden = HIDDEN\n'
    iris = f"{head}[optimizer]\n[budget]\nepochs = 1\nbatch_size = 8\n"
    studies = {
        "wide": iris.replace("HIDDEN", "[100000000000]"),
        "many": iris.replace("HIDDEN", f"[{'1,' * 100_000}]"),
        "options": iris.replace("HIDDEN", "[4]") + "[task_options]\nnobody = 1\n",
        "recall": iris.replace("HIDDEN", "[4]").replace("iris", "recall") + "[task_options]\nsteps = 1000000000\n",
        "deep": "name = " + "[" * 100_000,
        "text": "no toml at all",
        "empty": "",
    }
    for name, text in studies.items():
        (folder / f"{name}.toml").write_text(text)
    (folder / "binary.toml").write_bytes(b"\xff\xfe\x00")
    (folder / "mine.txt").write_text("mine")
    tables = {
        "table": "a,b,kind\n1,2,x\n2,3,y\n" * 20,
        "one_column": "a\n1\n2\n",
        "torn": 'a,b,kind\n1,2,"x\n2,3\n4\n',
        "empty": "",
        "one_class": "a,b,kind\n1,2,x\n2,3,x\n" * 9,
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    (folder / "deep.safetensors").write_bytes((10**5).to_bytes(8, "little") + b"[" * 10**5)
    for name in ("folder", "folder.toml", "folder.png", "folder.html", "deep", "text", "hollow"):
        (folder / name).mkdir()
    (folder / "deep" / "comparison.json").write_text("[" * 200_000)
    (folder / "text" / "comparison.json").write_text("text")
    (folder / "hollow" / "comparison.json").write_text("{}")
    for name in ("fifo", "fifo.png", "fifo.toml", "fifo.npz", "fifo.json"):
        os.mkfifo(folder / name)
    try:
        os.mknod(folder / "device", stat.S_IFCHR | 0o666, os.makedev(1, 7))  # a disk that is full
    except OSError:
        os.mkfifo(folder / "device")
    (folder / "to_device").symlink_to(folder / "device")
    x = np.ones((5, 64))
    np.savez(folder / "text.npz", x=np.array(["a", "b"]), y=np.array([0, 1]))
    np.savez(folder / "scalar.npz", x=np.float64(3.0))
    np.savez(folder / "empty.npz")
    np.savez(folder / "objects.npz", x=np.array([{}, {}]))
    np.savez(folder / "mine.npz", z=x)
    np.savez(folder / "lying.npz", x=x)
    whole = (folder / "lying.npz").read_bytes()
    (folder / "torn.npz").write_bytes(whole[: len(whole) // 2])
    (folder / "lying.npz").write_bytes(whole.replace(b"(5, 64), }", b"(9, 64), }"))  # the header is not summed
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(sys, "dont_write_bytecode", True)
        for table in ("_items", "_keys", "_spelled"):
            patch.setattr(SCHEMES, table, getattr(SCHEMES, table).copy())
        before = set(sys.modules)
        yield folder
        for name in set(sys.modules) - before:
            if name in MODULES:
                del sys.modules[name]


def _snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    found = {}
    for path in folder.rglob("*"):
        told = path.lstat()
        found[str(path.relative_to(folder))] = (told.st_mode, told.st_size, told.st_mtime_ns if path.is_file() else 0)
    return found


def _id(case: tuple[int, tuple[str, ...], str]) -> str:
    return " ".join(word if len(word) <= 40 else f"{word[:12]}...{len(word)}" for word in case[1]) or "nothing"


def test_there_are_at_least_500_cases_and_every_command_has_some() -> None:
    assert len(CASES) >= 500
    assert {argv[0] for _, argv, _ in CASES} >= {*COMMANDS, "explain", "list", "report", "show", "theory"}


@pytest.mark.parametrize("case", CASES, ids=map(_id, CASES))
def test_bad_input_is_one_line_and_writes_nothing(project: Path, case: tuple[int, tuple[str, ...], str]) -> None:
    wanted, argv, told = case
    before, out, err = _snapshot(project), io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(argv)
    said = err.getvalue()
    assert (code, out.getvalue()) == (wanted, ""), said
    assert said.startswith("initlab: error: ")
    assert said.count("\n") == 1
    assert said[:-1].isprintable()
    assert told in said
    assert _snapshot(project) == before
