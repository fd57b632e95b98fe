"""Draws, version 1, frozen: digests that no thread count, chunk, path or CPU level may change (regression).

Run as a script, this file prints the digest of every case as JSON; the tests run it with CPU features taken away.
"""

import json
import os
import subprocess
import sys
from hashlib import blake2b
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from initlab.core.draws import entries, fast
from initlab.core.draws.streams import Stream
from initlab.core.laws import Blocks, Constant, Law, Normal, Sparse, TruncatedNormal, Uniform
from initlab.core.laws.draw import draw

HERE = Path(__file__)
Case = tuple[str, Law, tuple[int, ...], int, str, str]
GATES = Blocks((Uniform(-0.1, 0.1), Constant(1.0), Normal(0.2)), (5, 2, 9))

CASES: list[Case] = [
    ("8d330f67a87c14b4", Normal(1.0), (), 0, "weight", "float64"),
    ("2857d75b218de8a2", Normal(1.0), (1,), 0, "weight", "float32"),
    ("e4a6a0577479b2b4", Normal(1.0), (0, 5), 0, "weight", "float32"),
    ("f659b75d01db3193", Normal(0.05), (3, 5), 1, "0/weight", "float32"),
    ("0503984626e83a1b", Normal(0.05), (64, 4), 1, "0/weight", "float64"),
    ("d98c3e029377dff2", Normal(0.05), (64, 4), 1, "0/weight", "float16"),
    ("abe4502b470376ee", Normal(0.05), (64, 4), 1, "0/weight", "bfloat16"),
    ("d0a5aaab0c36cc24", Normal(0.02, 0.5), (33, 3, 3, 3), 2, "1/weight", "float32"),
    ("e237683c63b091b8", Normal(0.0, 0.25), (7, 3), 3, "weight", "float32"),
    ("0647540237f10469", Normal(1.0), (1 << 17,), 4, "weight", "float64"),
    ("aff26d5e7db0230e", Normal(0.0884), (257, 1023), 5, "weight", "float32"),
    ("9a914aad6a75f725", Normal(0.0884), (257, 1023), 5, "weight", "float16"),
    ("0d4e914c99439491", Normal(1.0), (2049, 2051), 6, "weight", "float32"),
    ("a6c1b0460a7e0b93", Uniform(0.0, 1.0), (5,), 0, "weight", "float64"),
    ("1db2d0d0dc09e5c7", Uniform(-0.3, 0.3), (63, 65), 7, "ä/weight", "float32"),
    ("af45f2e0c2b67baf", Uniform(-0.3, 0.3), (63, 65), 10**30, "weight", "float64"),
    ("b138c857a94fb9a9", Uniform(-0.05, 0.05), (1 << 17,), 8, "weight", "float32"),
    ("6db6880f948d8c72", Uniform(0.1, 0.3), (511, 513), 9, "weight", "float64"),
    ("48e0ca5315817120", Uniform(-1.0, 2.0), (2049, 2051), 10, "weight", "float32"),
    ("8fbbe5feb0184874", Uniform(-1e-3, 1e-3), (1025, 129), 11, "weight", "bfloat16"),
    ("931144c4ac2bab50", TruncatedNormal(1.0), (9, 9), 0, "weight", "float64"),
    ("8d5082d94b1fba71", TruncatedNormal(0.02), (100, 101), 12, "weight", "float32"),
    ("b202f589fd15239b", TruncatedNormal.with_std(0.05), (128, 64, 3, 3), 13, "weight", "float32"),
    ("1b4ce63fdb3a01bf", TruncatedNormal(0.5, 1.0, -1.0, 3.0), (300, 301), 14, "weight", "float64"),
    ("3d1b507383f6c37b", TruncatedNormal(1.0, 0.0, 2.5, 4.5), (1 << 15,), 15, "weight", "float64"),
    ("10b1f848645c3887", TruncatedNormal(1.0, 0.0, -40.0, 7.0), (70_001,), 16, "weight", "float32"),
    ("bc6b1fb7c232c207", TruncatedNormal(0.02), (2049, 2051), 17, "weight", "float16"),
    ("5b0dac941e112837", Constant(0.1), (3, 4), 0, "bias", "float16"),
    ("20ef07646caad516", Sparse(0.7, 1.0), (31, 5, 5), 18, "weight", "float32"),
    ("9d83baece9e2698a", GATES, (16, 1001), 19, "weight", "float32"),
]


def digest(case: Case) -> str:
    _, law, shape, seed, path, dtype = case
    array = draw(law, shape, seed=seed, path=path, dtype=dtype)
    return blake2b(array.astype(array.dtype.newbyteorder("<")).tobytes(), digest_size=8).hexdigest()


def frozen(case: Case) -> str:
    return case[0]


def run_elsewhere(tmp_path: Path, **environment: str) -> list[str]:
    """The digests of all cases, from a process of its own with more environment variables."""
    merged = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **environment}
    done = subprocess.run([sys.executable, str(HERE)], env=merged, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def usable_cpu_features() -> str:
    """The CPU features above NumPy's baseline that this machine has, for NPY_DISABLE_CPU_FEATURES."""
    umath = import_module(f"numpy.{'_core' if np.__version__ >= '2' else 'core'}._multiarray_umath")
    return " ".join(name for name in umath.__cpu_dispatch__ if umath.__cpu_features__.get(name))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[1]}-{case[2]}-{case[5]}")
def test_the_digest_is_frozen(case: Case) -> None:
    pytest.importorskip("ml_dtypes")
    assert digest(case) == frozen(case)


def test_plain_numpy_gives_the_frozen_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast, "pays", lambda n: False)
    assert [digest(case) for case in CASES] == [frozen(case) for case in CASES]


@pytest.mark.parametrize("threads", ["1", "2", "5"])
@pytest.mark.parametrize("piece", [1 << 11, 1 << 16])
def test_the_kernels_give_the_frozen_digests_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch, threads: str, piece: int
) -> None:
    pytest.importorskip("numba")
    monkeypatch.setenv(fast.THREADS, threads)
    monkeypatch.setattr(fast, "pays", lambda n: n > 0)
    monkeypatch.setattr(fast, "PIECE", piece)
    assert [digest(case) for case in CASES] == [frozen(case) for case in CASES]


@pytest.mark.parametrize("chunk", [1, 3, 1000, 1 << 20])
def test_the_oracle_gives_the_same_bits_in_any_chunks(chunk: int) -> None:
    formula, n = TruncatedNormal(0.5, 1.0, -1.0, 3.0).formula, 2001
    source = Stream(11, 12)
    whole, parts = np.empty(n), np.empty(n)
    entries.fill_with_numpy(formula, source, 5, whole)
    entries.fill_with_numpy(formula, source, 5, parts, chunk=chunk)
    assert np.array_equal(whole, parts)


def test_a_lowered_cpu_level_gives_the_frozen_digests_from_plain_numpy(tmp_path: Path) -> None:
    features = usable_cpu_features()
    if not features:
        pytest.skip("this machine has no CPU feature above NumPy's baseline")
    found = run_elsewhere(tmp_path, NPY_DISABLE_CPU_FEATURES=features, NUMBA_DISABLE_JIT="1")
    assert found == [frozen(case) for case in CASES]


def test_a_lowered_cpu_level_gives_the_frozen_digests_from_the_kernels(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    found = run_elsewhere(tmp_path, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="", INITLAB_NUM_THREADS="2")
    assert found == [frozen(case) for case in CASES]


if __name__ == "__main__":
    print(json.dumps([digest(case) for case in CASES]))
