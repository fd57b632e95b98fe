"""What holds for every lesson: it is quick, its text quotes its numbers and no others, and it fits a terminal."""

from __future__ import annotations

import json
import math
import re
import shlex
import time

import pytest

from initlab.core.errors import UnknownNameError
from initlab.lessons import LESSONS, Lesson, learn
from initlab.lessons.lesson import share
from initlab.lessons.text import lesson_text
from initlab.report.drawing.text import number

TOPICS = list(LESSONS)
# Numbers of rules and settings, which no run gives: bounds and stds that a scheme is called with, limits that a
# sentence defines, and constants that an exact formula names.
SETTINGS = {"0.01", "0.02", "0.05", "0.1", "0.5", "0.8", "1.01", "0.99", "1.5", "2.72"}


def spellings(value: float) -> set[str]:
    """How a text may write a number."""
    whole = {f"{value:.0f}"} if value == round(value) else set()
    return {number(value), share(value), f"{value:.3g}", f"{value:.5g}", repr(value), *whole}


def quotes(text: str, spelling: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(spelling)}(?!\w|\.\d)", text) is not None


SECONDS: dict[str, float] = {}
"""By lesson: what its one run of this session took of a core."""


@pytest.fixture(params=TOPICS)
def lesson(request: pytest.FixtureRequest) -> Lesson:
    began = time.thread_time()
    found = learn(request.param)
    SECONDS.setdefault(request.param, time.thread_time() - began)
    return found


def test_a_lesson_takes_under_ten_seconds_of_one_core(lesson: Lesson) -> None:
    assert SECONDS[lesson.name] < 10.0


def test_every_number_is_finite_and_quoted(lesson: Lesson) -> None:
    text = " ".join(lesson_text(lesson, width=100_000).split())
    for name, value in lesson.numbers.items():
        assert math.isfinite(value), name
        assert any(quotes(text, spelling) for spelling in spellings(value)), (name, value)


def test_every_decimal_of_the_plain_words_comes_from_the_run(lesson: Lesson) -> None:
    known = {spelling.removesuffix(" %") for value in lesson.numbers.values() for spelling in spellings(value)}
    quoted = re.findall(r"(?<![\w.])\d+\.\d+(?:e[+-]\d+)?", " ".join(lesson.plain))
    assert set(quoted) <= known | SETTINGS


def test_no_line_is_longer_than_the_terminal(lesson: Lesson) -> None:
    for width in (80, 100):
        assert max(len(line) for line in lesson_text(lesson, width=width).splitlines()) <= width


def test_a_lesson_has_words_a_run_and_mathematics_with_a_source(lesson: Lesson) -> None:
    assert len(lesson.plain) >= 2
    assert lesson.experiment
    assert lesson.table.rows
    assert lesson.mathematics
    assert all(line.text and line.source for line in lesson.mathematics)


def test_the_plain_words_are_short_sentences(lesson: Lesson) -> None:
    words = " ".join(lesson.plain)
    sentences = [s for s in re.split(r"(?<=[.?!])[\"”]?\s+(?=[A-Z\"`])", words) if s]
    lengths = [len(s.split()) for s in sentences]
    assert sum(lengths) / len(lengths) <= 25
    assert max(lengths) <= 60


def test_a_title_fits_the_list_of_topics_in_one_line(lesson: Lesson) -> None:
    column = max(len(name) for name in TOPICS)
    assert column + 2 + len(lesson.title) <= 80


def test_see_also_names_other_lessons(lesson: Lesson) -> None:
    assert lesson.see_also
    assert all(LESSONS.canonical(name) == name != lesson.name for name in lesson.see_also)


def test_a_lesson_is_plain_data(lesson: Lesson) -> None:
    data = json.loads(json.dumps(lesson.to_dict(), allow_nan=False))
    assert data["numbers"] == pytest.approx(dict(lesson.numbers))
    assert data["command"] == f"initlab explain {lesson.name}"


@pytest.mark.parametrize("name", TOPICS)
def test_the_commands_to_go_on_with_exist(name: str) -> None:
    from initlab.schemes import SCHEMES
    from initlab.study.design import list_studies
    from initlab.study.sweep import list_sweeps
    from initlab.theory import ACTIVATIONS

    known = {"show": SCHEMES, "theory": ACTIVATIONS, "compare": [*list_studies(), *list_sweeps()], "list": ("schemes",)}
    for command in learn(name).tries:
        program, verb, what, *_ = shlex.split(command)
        assert program == "initlab"
        assert what in known[verb]


def test_the_same_lesson_twice_gives_the_same_numbers() -> None:
    assert LESSONS["constants"].run().numbers == LESSONS["constants"].run().numbers


def test_every_topic_of_the_guide_has_a_lesson() -> None:
    wanted = (
        "why-initialization variance vanishing-gradients exploding-gradients saturation recurrent-nets symmetry "
        "constants when-zero-is-right random xavier he lecun orthogonal identity truncated-normal "
        "framework-differences rules-of-thumb normalisation residual clipping dropout regularisation trade-offs "
        "transformers reproducibility textbook-errors"
    )
    assert sorted(TOPICS) == sorted(wanted.split())


@pytest.mark.parametrize(
    ("alias", "name"),
    [("glorot", "xavier"), ("kaiming", "he"), ("zeros", "symmetry"), ("ONES", "constants"), ("rnn", "recurrent-nets")],
)
def test_a_topic_is_found_under_its_other_names(alias: str, name: str) -> None:
    assert LESSONS.canonical(alias) == name


def test_an_unknown_topic_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'vanishing-gradients'"):
        learn("vanishing-gradiants")
