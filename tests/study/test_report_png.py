from __future__ import annotations

import struct
import sys
import xml.etree.ElementTree as ET

import pytest
from tests.study.report_data import large_study, renamed, small_study

from initlab.core.errors import MissingDependencyError, OptionError
from initlab.report.study.pictures import write_curves_png


def _draw(path, study, **options):
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    return write_curves_png(path, study.design, study.records, **options)


def _size(path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_a_picture_has_twice_the_pixels_at_twice_the_scale(tmp_path):
    once = _size(_draw(tmp_path / "a.png", small_study(), scale=1.0))
    twice = _size(_draw(tmp_path / "b.png", small_study()))
    assert [2 * side for side in once] == pytest.approx(twice, abs=1)


@pytest.mark.parametrize("study", [small_study, large_study])
def test_a_drawing_names_every_scheme_and_both_axes(tmp_path, study):
    made = study()
    svg = _draw(tmp_path / "curves.svg", made).read_text(encoding="utf-8")
    texts = {"".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert set(made.design.schemes) <= texts
    assert {"Epoch", "Test accuracy (share of rows)", "Train loss (cross-entropy, nats)"} <= texts


def test_a_hostile_name_stays_text_in_a_drawing(tmp_path):
    name = "</text><script>alert(1)</script>"
    svg = _draw(tmp_path / "curves.svg", renamed(small_study(), "he_normal", name)).read_text(encoding="utf-8")
    assert not list(ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}script"))


def test_a_missing_vl_convert_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    study = small_study()
    with pytest.raises(MissingDependencyError, match=r"initlab\[report\]"):
        write_curves_png(tmp_path / "a.png", study.design, study.records)
    assert not list(tmp_path.iterdir())


def test_a_scale_of_zero_is_refused(tmp_path):
    study = small_study()
    with pytest.raises(OptionError, match="scale must be above 0"):
        write_curves_png(tmp_path / "a.png", study.design, study.records, scale=0.0)
