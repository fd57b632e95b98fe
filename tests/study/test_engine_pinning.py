"""A worker settles its core and its threads before jax is imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def said(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this platform binds no process to a core")
def test_a_pinned_process_has_one_core_and_jax_is_not_yet_imported() -> None:
    code = (
        "import os, sys; from initlab.study.pinning import pin_to_core;"
        "print(pin_to_core(5), len(os.sched_getaffinity(0)), 'jax' in sys.modules)"
    )
    assert said(code) == "True 1 False"


def test_flags_that_the_user_set_are_kept() -> None:
    code = (
        "import os; from initlab.frameworks.jax.training.pinning import use_one_thread;"
        "use_one_thread(); print(os.environ['XLA_FLAGS'])"
    )
    assert said(code, XLA_FLAGS="--xla_a=1") == "--xla_a=1 --xla_cpu_multi_thread_eigen=false"
    own = "--xla_cpu_multi_thread_eigen=true"
    assert said(code, XLA_FLAGS=own) == own


def test_settings_after_jax_are_refused() -> None:
    code = (
        "import jax\nfrom initlab.core.errors import OptionError\n"
        "from initlab.frameworks.jax.training.pinning import use_one_thread\n"
        "try: use_one_thread()\nexcept OptionError as error: print(error)"
    )
    assert said(code).startswith("jax is imported already")


TRAIN = """
import sys, hashlib
from pathlib import Path
from initlab.frameworks.jax.training.pinning import keep_compiled
keep_compiled(Path(sys.argv[1])) if len(sys.argv) > 1 else None
import numpy as np
from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Optimizer, TrainingSetup, Start
from initlab.frameworks.jax.training.train import train
x = np.random.default_rng(0).standard_normal((20, 3), np.float32)
y = np.int32(x[:, 0] > 0)
setup = TrainingSetup(Mlp((3, 2)), Dataset("d", x, y, x, y, class_names=("a", "b")), Optimizer(), Budget(3, 8))
start = Start(0, {"0/weight": x[:2], "0/bias": x[2, :2]})
print(hashlib.sha256(train(setup, [start])[0].curves["train_loss"][1:].tobytes()).hexdigest())
"""


def test_kept_code_gives_the_bits_of_fresh_code_and_a_torn_file_is_compiled_anew(tmp_path: Path) -> None:
    run = tmp_path / "run.py"
    run.write_text(TRAIN)

    def digest(*arguments: str) -> str:
        command = [sys.executable, str(run), *arguments]
        bare = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=bare).stdout

    fresh, written = digest(), digest(str(tmp_path / "kept"))
    files = [path for path in (tmp_path / "kept").rglob("*-cache") if path.is_file()]
    assert files
    read = digest(str(tmp_path / "kept"))
    for path in files:
        path.write_bytes(path.read_bytes()[:100])
    assert fresh == written == read == digest(str(tmp_path / "kept"))
