"""A part equals that part of the whole, at any place; types are rounded once; bad input is one line."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlab.core.draws import entries, fast
from initlab.core.draws.selection import Index, IndexItem, select
from initlab.core.errors import InitlabError, MissingDependencyError, OptionError, ShapeError
from initlab.core.laws import Blocks, Constant, Law, Normal, Orthogonal, TruncatedNormal, Uniform
from initlab.core.laws.draw import draw

GATES = Blocks((Normal(1.0), Constant(1.0), Uniform(-1.0, 1.0)), (2, 1, 2))


@st.composite
def shapes_and_indices(draw_from: st.DrawFn) -> tuple[tuple[int, ...], Index]:
    """A shape, and slices, whole numbers and arrays that broadcast together, perhaps around an ellipsis."""
    shape = tuple(draw_from(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    extent = draw_from(st.sampled_from([(3,), (2, 1), (2, 3), ()]))
    items: list[IndexItem] = []
    for n in shape:
        numbers = st.integers(-n, n - 1)
        sizes = draw_from(st.sampled_from([extent, extent[-1:], (1,) * len(extent)]))
        count = int(np.prod(sizes))
        array = st.lists(numbers, min_size=count, max_size=count).map(
            lambda flat, sizes=sizes: np.array(flat, np.int64).reshape(sizes)
        )
        items.append(draw_from(st.one_of(st.slices(n), numbers, array)))
    cut = draw_from(st.integers(0, len(items)))
    if draw_from(st.booleans()):
        dropped = draw_from(st.integers(0, len(items) - cut))
        return shape, (*items[:cut], Ellipsis, *items[cut + dropped :])
    return shape, tuple(items[:cut])


@given(shapes_and_indices())
@settings(deadline=None, max_examples=300)
def test_an_index_gives_that_part_of_the_whole(case: tuple[tuple[int, ...], Index]) -> None:
    shape, index = case
    whole = draw(Normal(1.0), shape, seed=3, dtype="float64")
    part = draw(Normal(1.0), shape, seed=3, dtype="float64", index=index)
    assert part.shape == np.shape(whole[index])
    assert np.array_equal(part, whole[index])


@pytest.mark.parametrize(
    "law", [Normal(0.1), TruncatedNormal(1.0), Uniform(-1.0, 1.0), Constant(2.0), GATES, Orthogonal()]
)
@pytest.mark.parametrize(
    "index",
    [
        (slice(1, 4),),
        (slice(None), slice(5, 1000)),
        (slice(None, None, 2), np.array([4, 4, 0])),
        (np.array([4, 0, 3]), slice(2, None)),
        (np.array([4, 0]), np.array([[1], [2]])),
        (Ellipsis, -1),
        (slice(2, 2),),
    ],
)
def test_every_law_can_be_indexed(law: Law, index: Index) -> None:
    whole = draw(law, (5, 2000), seed=1)
    part = draw(law, (5, 2000), seed=1, index=index)
    assert part.shape == whole[index].shape
    assert np.array_equal(part, whole[index])


def test_rows_and_columns_of_a_large_tensor_equal_the_whole() -> None:
    whole = draw(Normal(1.0), (300, 30_000), seed=2)
    rows = draw(Normal(1.0), (300, 30_000), seed=2, index=(slice(101, 203),))
    columns = draw(Normal(1.0), (300, 30_000), seed=2, index=(slice(None), slice(7, 20_001)))
    assert np.array_equal(rows, whole[101:203])
    assert np.array_equal(columns, whole[:, 7:20_001])


def test_ten_entries_of_a_tensor_of_2_to_the_40_are_drawn_alone() -> None:
    start = time.perf_counter()
    part = draw(Normal(1.0), (2**20, 2**20), seed=0, index=(slice(2**19, 2**19 + 2), slice(-5, None)))
    assert time.perf_counter() - start < 1.0
    assert part.shape == (2, 5)
    assert len(np.unique(part)) == 10


@pytest.mark.parametrize("place", [2**32 - 3, 2**33 - 3, 2**40 + 1, 2**63 - 9])
def test_places_beyond_32_bits_do_not_repeat_and_runs_equal_single_entries(place: int) -> None:
    size = 2**63 - 1
    run = draw(Normal(1.0), (size,), seed=0, dtype="float64", index=(slice(place, place + 8),))
    single = [draw(Normal(1.0), (size,), seed=0, dtype="float64", index=(np.array([place + i]),))[0] for i in range(8)]
    assert np.array_equal(run, single)
    low = draw(Normal(1.0), (size,), seed=0, dtype="float64", index=(slice(place % 2**32, place % 2**32 + 8),))
    assert place < 2**32 or not np.intersect1d(run, low).size


def test_a_long_run_beyond_2_to_the_32_equals_its_single_entries() -> None:
    pytest.importorskip("numba")
    start, n = 2**34 - 5000, 10_000
    source = entries.Stream(3, 4)
    compiled, oracle = np.empty(n), np.empty(n)
    fast.fill(Normal(1.0).formula, source, start, compiled)
    entries.fill_with_numpy(Normal(1.0).formula, source, start, oracle)
    assert np.array_equal(compiled, oracle)


def test_the_shape_does_not_alter_the_noise() -> None:
    flat = draw(Normal(1.0), (12,), seed=0)
    assert np.array_equal(draw(Normal(1.0), (3, 4), seed=0).reshape(-1), flat)


def test_laws_share_their_noise() -> None:
    wide, narrow = draw(Normal(2.0), (50,), seed=0), draw(Normal(1.0), (50,), seed=0)
    assert np.array_equal(wide, 2 * narrow)


@pytest.mark.parametrize("narrow", ["float16", "bfloat16"])
def test_narrow_types_are_the_float32_weights_cast(narrow: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    target = np.dtype(np.float16 if narrow == "float16" else ml_dtypes.bfloat16)
    for law in (Normal(0.1), Uniform(-1.0, 1.0), Constant(0.1), Orthogonal(), GATES):
        weights = draw(law, (5, 1001), seed=1, dtype=narrow)
        assert weights.dtype == target
        assert np.array_equal(weights, draw(law, (5, 1001), seed=1).astype(target))


def test_float64_is_not_rounded_to_float32_first() -> None:
    weights = draw(Normal(0.1), (1000,), seed=1, dtype="float64")
    assert np.mean(weights == weights.astype(np.float32)) < 0.01
    assert np.array_equal(weights.astype(np.float32), draw(Normal(0.1), (1000,), seed=1))


def test_float32_is_the_default_and_types_are_dtypes_or_names() -> None:
    assert draw(Normal(1.0), (3,), seed=0).dtype == np.float32
    assert draw(Normal(1.0), (3,), seed=0, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("dtype", ["complex64", "int32", "float8", None, bool, object])
def test_other_types_are_refused_in_one_line(dtype: str) -> None:
    with pytest.raises(OptionError, match=r"drawn|unknown dtype") as caught:
        draw(Normal(1.0), (3,), seed=0, dtype=dtype)
    assert "\n" not in str(caught.value)


def test_bfloat16_without_its_package_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingDependencyError, match="ml_dtypes"):
        draw(Normal(1.0), (3,), seed=0, dtype="bfloat16")


@pytest.mark.parametrize(
    "index",
    [
        (0, 0, 0),
        (5,),
        (-6, 0),
        (np.array([0, 9]),),
        (1.0,),
        (np.array([True] * 5),),
        (slice("a"),),
        (None,),
        (np.array([0, 1]), np.array([0, 1, 2])),
        (Ellipsis, Ellipsis),
    ],
)
def test_an_index_that_does_not_fit_is_refused_in_one_line(index: Index) -> None:
    with pytest.raises(ShapeError) as caught:
        draw(Normal(1.0), (5, 4), seed=0, index=index)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(-1, 2), (1.5,), ("3",), (2**40, 2**40), 3])
def test_a_shape_that_is_none_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        draw(Normal(1.0), shape, seed=0)


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5"])
def test_a_thread_count_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("INITLAB_NUM_THREADS", text)
    with pytest.raises(InitlabError, match="INITLAB_NUM_THREADS"):
        fast.threads()


def test_a_selection_knows_its_contiguous_runs() -> None:
    assert select((4, 6, 5), (slice(1, 3),)).run == 60
    assert select((4, 6, 5), (slice(None), slice(0, 3))).run == 15
    assert select((4, 6, 5), (slice(None), slice(None), slice(0, 5, 2))).run == 1
    assert select((4, 6, 5), (2, slice(1, 3), slice(None))).run == 10


def test_small_draws_do_not_import_numba() -> None:
    code = "import sys; from initlab.core.laws.draw import draw; from initlab.core.laws import Normal; "
    code += "draw(Normal(1.0), (1000, 1000), seed=0); print('numba' in sys.modules, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_without_numba_a_long_draw_is_plain_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "initlab.core.draws.kernels", None)
    fast._importable.cache_clear()
    assert not fast._importable()
    fast._importable.cache_clear()


def test_many_middling_tensors_bring_in_the_kernels_and_a_small_net_does_not() -> None:
    script = """
import sys
from initlab.core.laws.draw import draw
from initlab.core.laws import Normal
def kernels_after(tensors):
    for k in range(tensors):
        draw(Normal(1.0), (256, 256), seed=0, path=str(k))
    return "initlab.core.draws.kernels" in sys.modules
print(kernels_after(10), kernels_after(60))
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "True"]
