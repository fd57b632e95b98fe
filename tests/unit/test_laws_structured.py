"""Identity, dirac, delta-orthogonal and sparse tensors have their structure; blocks and arranged kernels as well."""

import numpy as np
import pytest

from initlab.core.errors import ShapeError
from initlab.core.facts.spec import Axes
from initlab.core.laws import (
    Arranged,
    Blocks,
    Constant,
    DeltaOrthogonal,
    Dirac,
    Identity,
    Law,
    Normal,
    Orthogonal,
    Shape,
    Sparse,
    Uniform,
)
from initlab.core.laws.draw import draw


def orthonormal(w: np.ndarray) -> bool:
    """Whether the shorter side's vectors are orthonormal."""
    tall = w if w.shape[0] >= w.shape[1] else w.T
    return bool(np.abs(tall.T @ tall - np.eye(tall.shape[1])).max() < 1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (0, 3)])
def test_identity_is_a_rectangular_eye(shape: Shape) -> None:
    assert np.array_equal(draw(Identity(2.0), shape, seed=0), 2 * np.eye(*shape))


@pytest.mark.parametrize(("shape", "groups"), [((4, 4, 3), 1), ((6, 3, 3, 3), 1), ((6, 2, 5), 3), ((4, 6, 2, 2), 2)])
def test_dirac_is_torchs(shape: Shape, groups: int) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.dirac_(torch.empty(shape), groups=groups).numpy()
    assert np.array_equal(draw(Dirac(1.0, groups=groups), shape, seed=0), expected)


@pytest.mark.parametrize("shape", [(4, 4, 3), (6, 3, 5, 3), (3, 6, 1, 1, 7)])
def test_delta_orthogonal_is_zero_around_an_orthogonal_centre(shape: Shape) -> None:
    w = draw(DeltaOrthogonal(1.0), shape, seed=0, dtype="float64")
    centre = w[(..., *(k // 2 for k in shape[2:]))]
    assert orthonormal(centre)
    assert np.count_nonzero(w) == np.count_nonzero(centre)


@pytest.mark.parametrize("zeros", [0.0, 0.07, 0.5, 0.99])
def test_a_sparse_unit_has_exactly_its_zeros(zeros: float) -> None:
    w = draw(Sparse(zeros, 1.0), (40, 25, 2, 2), seed=0)
    assert set(np.sum(w.reshape(40, -1) == 0, axis=1)) == {round(100 * zeros)}


def test_a_sparse_column_has_exactly_its_zeros_rounded_up() -> None:
    w = draw(Sparse(0.25, 1.0, "column"), (10, 30), seed=0)
    assert set(np.sum(w == 0, axis=0)) == {3}


def test_the_zeros_of_a_sparse_law_are_anywhere() -> None:
    hits = sum(draw(Sparse(0.3, 1.0), (50, 10), seed=seed) == 0 for seed in range(60))
    n = 50 * 60
    assert np.all(np.abs(hits.sum(axis=0) - 0.3 * n) < 5 * np.sqrt(n * 0.3 * 0.7))


def test_a_sparse_law_keeps_the_normal_weights_where_they_are() -> None:
    w, full = draw(Sparse(0.3, 2.0), (8, 10), seed=0), draw(Normal(2.0), (8, 10), seed=0)
    assert np.array_equal(w[w != 0], full[w != 0])


SHAPES_REFUSED: list[tuple[Law, Shape]] = [
    (Orthogonal(), (3,)),
    (Identity(), (3, 3, 3)),
    (Identity(), (3,)),
    (Dirac(), (3, 3)),
    (Dirac(1.0, groups=2), (3, 3, 3)),
    (DeltaOrthogonal(), (3, 3, 2)),
    (DeltaOrthogonal(), (3, 3)),
    (Sparse(0.5, 1.0), (3,)),
    (Sparse(0.5, 1.0, "column"), (3, 3, 3)),
    (Blocks((Normal(1.0), Normal(1.0)), (1, 1)), (3, 3)),
    (Blocks((Normal(1.0),), (3,), axis=2), (3, 3)),
    (Blocks((Identity(), Identity()), (1, 1)), (2, 3, 3)),
    (Arranged(Orthogonal(), Axes((0,), (2,))), (3, 3)),
]


@pytest.mark.parametrize(("law", "shape"), SHAPES_REFUSED)
def test_a_law_refuses_a_shape_it_cannot_take_in_one_line(law: Law, shape: Shape) -> None:
    for call in (law.check, law.std, lambda shape: draw(law, shape, seed=0)):
        with pytest.raises(ShapeError) as caught:
            call(shape)
        assert "\n" not in str(caught.value)


def test_an_identity_on_a_kernel_names_the_law_that_fits() -> None:
    with pytest.raises(ShapeError, match=r"identity law cannot fill the shape \(3, 3, 3\): .*dirac"):
        Identity().check((3, 3, 3))


def test_element_wise_blocks_hold_the_whole_tensors_noise() -> None:
    law = Blocks((Normal(1.0), Uniform(-1.0, 1.0), Normal(3.0)), (2, 1, 2))
    w = draw(law, (5, 7), seed=0, dtype="float64")
    assert np.array_equal(w[:2], draw(Normal(1.0), (5, 7), seed=0, dtype="float64")[:2])
    assert np.array_equal(w[2:3], draw(Uniform(-1.0, 1.0), (5, 7), seed=0, dtype="float64")[2:3])
    assert np.array_equal(w[3:], draw(Normal(3.0), (5, 7), seed=0, dtype="float64")[3:])


def test_blocks_lie_along_their_axis() -> None:
    w = draw(Blocks((Constant(0.0), Constant(1.0)), (1, 2), axis=1), (2, 3, 2), seed=0)
    assert np.array_equal(w[:, 0], np.zeros((2, 2)))
    assert np.array_equal(w[:, 1:], np.ones((2, 2, 2)))


def test_blocks_print_their_laws_and_count_equal_neighbours() -> None:
    law = Blocks((Normal(0.1), Normal(0.1), Constant(1.0)), (4, 4, 2))
    assert str(law) == "2 x 4: N(0, 0.1^2); 2: constant 1"


def test_equal_orthogonal_blocks_differ_and_each_is_orthogonal() -> None:
    w = draw(Blocks((Orthogonal(),) * 3, (4, 4, 4)), (12, 4), seed=0, dtype="float64")
    assert all(orthonormal(w[i : i + 4]) for i in (0, 4, 8))
    assert np.abs(w[:4] - w[4:8]).max() > 0.1


def test_a_block_does_not_depend_on_the_laws_beside_it() -> None:
    first = draw(Blocks((Orthogonal(), Normal(1.0)), (4, 4)), (8, 4), seed=0)
    second = draw(Blocks((Orthogonal(), Constant(0.0)), (4, 4)), (8, 4), seed=0)
    assert np.array_equal(first[:4], second[:4])


def test_a_query_kernel_is_orthogonal_as_a_matrix() -> None:
    law = Arranged(Orthogonal(), Axes(inputs=(0,), outputs=(1, 2)))
    w = draw(law, (12, 2, 3), seed=0, dtype="float64")
    assert orthonormal(w.reshape(12, 6))


def test_each_slice_of_a_batch_is_a_draw_of_its_own() -> None:
    law = Arranged(Orthogonal(), Axes(inputs=(2,), outputs=(0,), batch=(1,)))
    w = draw(law, (4, 3, 5), seed=0, dtype="float64")
    assert all(orthonormal(w[:, i]) for i in range(3))
    assert np.abs(w[:, 0] - w[:, 1]).max() > 0.1


def test_arranged_puts_the_canonical_block_where_the_axes_are() -> None:
    law = Arranged(Sparse(0.5, 1.0), Axes(inputs=(2,), outputs=(1,)))
    w = draw(law, (3, 4, 2), seed=0)
    block = draw(Sparse(0.5, 1.0), (4, 6), seed=0)
    assert np.array_equal(w.transpose(1, 2, 0).reshape(4, 6), block)


def test_an_element_wise_law_keeps_its_noise_when_arranged() -> None:
    law = Arranged(Normal(1.0), Axes(inputs=(0,), outputs=(1,), batch=(2,)))
    assert np.array_equal(draw(law, (3, 4, 2), seed=0), draw(Normal(1.0), (3, 4, 2), seed=0))
