"""Products of random reflections: orthonormal to 1e-12, and uniform among all such matrices."""

from math import sqrt

import numpy as np
import pytest

from initlab.core.draws import householder as orthogonal
from initlab.core.draws.householder import stiefel
from initlab.core.draws.streams import stream
from initlab.core.laws import Normal, Orthogonal
from initlab.core.laws.draw import draw

SQUARES = 4000


@pytest.fixture(scope="module")
def squares() -> np.ndarray:
    """4000 orthogonal 5 x 5 matrices."""
    return np.stack([stiefel(5, 5, stream(seed, "w")) for seed in range(SQUARES)])


def close(sample: np.ndarray, expected: float) -> bool:
    """Whether the mean is within five standard errors."""
    return bool(abs(sample.mean() - expected) < 5 * sample.std() / sqrt(len(sample)))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 3), (128, 128), (129, 129), (300, 257), (1000, 5), (600, 600)])
def test_columns_are_orthonormal_to_1e_12(shape: tuple[int, int]) -> None:
    q = stiefel(*shape, stream(0, "w"))
    assert np.abs(q.T @ q - np.eye(shape[1])).max() < 1e-12


@pytest.mark.parametrize("shape", [(3, 10), (10, 3), (4, 3, 2), (64, 16, 3, 3), (256, 8, 3, 3)])
@pytest.mark.parametrize("widen", [False, True])
def test_the_shorter_side_of_a_kernel_has_orthogonal_vectors_of_its_gain(shape: tuple[int, ...], widen: bool) -> None:
    law = Orthogonal(1.5, widen=widen)
    w = draw(law, shape, seed=0, dtype="float64").reshape(shape[0], -1)
    rows, columns = w.shape
    gain = 1.5 * (sqrt(rows / columns) if widen and rows > columns else 1.0)
    gram = w.T @ w if rows >= columns else w @ w.T
    assert np.allclose(gram, gain**2 * np.eye(min(rows, columns)), rtol=0, atol=1e-12)


def test_widening_keeps_the_mean_square_of_the_signal() -> None:
    w = draw(Orthogonal(1.0, widen=True), (64, 16), seed=0, dtype="float64")
    x = draw(Normal(1.0), (16,), seed=0, path="x", dtype="float64")
    assert np.mean((w @ x) ** 2) == pytest.approx(np.mean(x**2), rel=1e-12)


def test_the_panels_are_the_product_of_single_reflections(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = 23, 17
    normals = draw(Normal(1.0), (rows * columns,), seed=4, path="w", dtype="float64")
    expected, at = np.eye(rows), 0
    for j in range(columns):
        x = np.zeros(rows)
        x[j:] = normals[at : at + rows - j]
        at += rows - j
        v = x.copy()
        v[j] += np.copysign(np.linalg.norm(x), x[j])
        reflection = np.eye(rows) - 2 * np.outer(v, v) / (v @ v)
        reflection[:, j] *= -np.copysign(1.0, x[j])
        expected = expected @ reflection
    for panel in (1, 5, 128):
        monkeypatch.setattr(orthogonal, "PANEL", panel)
        q = stiefel(rows, columns, stream(4, "w"))
        assert np.allclose(q, expected[:, :columns], rtol=0, atol=1e-13)


def test_the_first_column_is_the_direction_of_the_first_normal_vector() -> None:
    # As in the QR factorisation with a positive diagonal, whose first column is that of the matrix, scaled.
    x = draw(Normal(1.0), (6,), seed=4, path="w", dtype="float64")
    assert np.allclose(stiefel(6, 4, stream(4, "w"))[:, 0], x / np.linalg.norm(x), rtol=0, atol=1e-14)


def test_the_trace_has_haars_moments(squares: np.ndarray) -> None:
    # Diaconis and Evans, "Linear functionals of eigenvalues of random matrices" (2001): those of a standard normal.
    trace = np.trace(squares, axis1=1, axis2=2)
    assert close(trace, 0.0)
    assert close(trace**2, 1.0)
    assert close(trace**4, 3.0)


def test_the_trace_of_the_square_has_haars_mean(squares: np.ndarray) -> None:
    assert close(np.einsum("nij,nji->n", squares, squares), 1.0)


def test_half_of_the_matrices_are_reflections(squares: np.ndarray) -> None:
    assert close(np.linalg.det(squares), 0.0)


def test_every_entry_has_the_spheres_second_and_fourth_moment(squares: np.ndarray) -> None:
    # E[w^2] = 1 / n and E[w^4] = 3 / (n (n + 2)) on the sphere in n dimensions.
    for entry in squares.reshape(SQUARES, 25).T:
        assert close(entry, 0.0)
        assert close(entry**2, 1 / 5)
        assert close(entry**4, 3 / 35)


def test_entries_of_two_rows_and_columns_have_haars_mixed_moments(squares: np.ndarray) -> None:
    # Collins and Sniady, "Integration with respect to the Haar measure" (2006), for O(n), with d = n (n - 1) (n + 2):
    # E[q11^2 q22^2] = (n + 1) / d and E[q11 q22 q12 q21] = -1 / d.
    q = squares
    assert close(q[:, 0, 0] ** 2 * q[:, 1, 1] ** 2, 6 / (5 * 4 * 7))
    assert close(q[:, 0, 0] * q[:, 1, 1] * q[:, 0, 1] * q[:, 1, 0], -1 / (5 * 4 * 7))


def test_a_rectangle_s_entries_have_the_moments_of_the_longer_side() -> None:
    sample = np.array([stiefel(6, 2, stream(seed, "w"))[5, 1] for seed in range(SQUARES)])
    assert close(sample**2, 1 / 6)
    assert close(sample**4, 3 / 48)


def test_orthogonal_normals_are_not_the_weights_own() -> None:
    assert Orthogonal().draw((3, 3), stream(0, "w"))[0, 0] != stiefel(3, 3, stream(0, "w"))[0, 0]
    expected = stiefel(3, 3, stream(0, "w", purpose="weights#1"))
    assert np.array_equal(Orthogonal().draw((3, 3), stream(0, "w")), expected)
