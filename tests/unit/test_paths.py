"""Canonical paths: chosen names are kept, made-up names become ordinals."""

from __future__ import annotations

import pytest

from initlab.core.facts.paths import NativeName, canonical_paths, is_automatic


def chain(*names: str, drawn: tuple[str, ...], automatic: bool = True) -> list[NativeName]:
    return [NativeName((name, "kernel"), (automatic,), drawn=name in drawn) for name in names]


def test_made_up_names_become_ordinals_whatever_the_counter() -> None:
    first = canonical_paths(chain("dense", "dense_1", drawn=("dense", "dense_1")))
    second = canonical_paths(chain("dense_7", "dense_8", drawn=("dense_7", "dense_8")))
    assert first == second == ["0/weight", "1/weight"]


def test_a_norm_put_in_between_changes_no_other_name() -> None:
    plain = canonical_paths(chain("0", "2", drawn=("0", "2")))
    with_norm = canonical_paths(chain("0", "1", "3", drawn=("0", "3")))
    assert [with_norm[0], with_norm[2]] == plain


def test_names_that_a_user_chose_are_kept() -> None:
    names = [NativeName(("encoder", "fc_1", "weight"), (False, False), drawn=True)]
    assert canonical_paths(names) == ["encoder/fc_1/weight"]


def test_wrappers_are_dropped() -> None:
    wrapped = NativeName(("module", "_orig_mod", "fc", "weight"), (False, False, False), drawn=True)
    assert canonical_paths([wrapped]) == ["fc/weight"]


def test_weight_and_bias_of_a_layer_share_its_ordinal() -> None:
    names = [
        NativeName((layer, leaf), (True,), drawn=leaf == "kernel")
        for layer in ("Dense_3", "Dense_5")
        for leaf in ("bias", "kernel")
    ]
    assert canonical_paths(names) == ["0/bias", "0/weight", "1/bias", "1/weight"]


def test_ordinals_count_within_their_parent() -> None:
    names = [NativeName((b, i, "weight"), (False, True), drawn=True) for b in ("a", "b") for i in ("0", "4")]
    assert canonical_paths(names) == ["a/0/weight", "a/1/weight", "b/0/weight", "b/1/weight"]


@pytest.mark.parametrize(
    ("name", "class_name", "expected"),
    [
        ("3", "", True),
        ("dense", "Dense", True),
        ("multi_head_attention_2", "MultiHeadAttention", True),
        ("conv2d_1", "Conv2D", True),
        ("Conv_0", "Conv", True),
        ("fc", "Dense", False),
        ("fc_1", "Dense", False),
        ("Dense", "Dense", False),
        ("dense_hidden", "Dense", False),
    ],
)
def test_a_made_up_name_is_told_from_a_chosen_one(name: str, class_name: str, expected: bool) -> None:
    assert is_automatic(name, class_name) is expected
