"""Stan text broken over lines: nothing is lost, and lines are within the width where they can be."""

from __future__ import annotations

import re

from hdsl_stan import print as printer
from hdsl_stan.layout import Doc, Filled, Joined, broken, flat
from hdsl_stan.lower import lowered
from hdsl_stan.syntax import Assign, Binary, Call, Expression, Index, Name, Row, StanProgram, Tilde, Transpose
from hypothesis import given
from hypothesis import strategies as st

from hdsl.model.roles import in_words
from tests import models

_WORDS = st.text("abcxyz_", min_size=1, max_size=14)


def _docs() -> st.SearchStrategy[Doc]:
    def larger(inner: st.SearchStrategy[Doc]) -> st.SearchStrategy[Doc]:
        filled = st.builds(
            lambda items, inset, enclosed: Filled(tuple(items), inset, enclosed),
            st.lists(inner, min_size=1, max_size=5),
            st.sampled_from([0, 2]),
            st.booleans(),
        )
        return st.one_of(filled, inner.map(lambda doc: Joined(("(", doc, ")"))))

    return st.recursive(_WORDS, larger, max_leaves=25)


def _bare(text: str) -> str:
    return re.sub(r"\s+", "", text)


@given(_docs(), st.integers(30, 60))
def test_no_text_is_lost(doc: Doc, width: int) -> None:
    lines = broken(("  x = ", "  x =\n      "), doc, ";", width)
    assert _bare("".join(lines)) == _bare(f"x={flat(doc)};")
    if len(flat(doc)) + 7 <= width:
        assert lines == [f"  x = {flat(doc)};"]
    # The longest word stands with its brackets on a line of its own at worst, indented by four for each level.
    assert all(line == line.rstrip() for line in lines)


@given(st.lists(_WORDS, min_size=1, max_size=30))
def test_lists_are_within_the_width(words: list[str]) -> None:
    doc = Joined(("f(", Filled(tuple(Joined((word, ",")) for word in words), enclosed=True), ")"))
    assert max(map(len, broken(("  y ~ ",), doc, ";", 40))) <= 40


def _statement(node: Assign | Tilde) -> str:
    return printer.program(StanProgram(model=(node,)))


def test_products_keep_a_short_factor_beside_a_long_one() -> None:
    row = Transpose(Row(tuple(Name(f"slope_number_{i}") for i in range(8))))
    total = Binary("+", Name("intercept"), Binary("*", Name("X"), row))
    assert _statement(Assign(Name("mean_of_the_outcome"), total)) == (
        "model {\n"
        "  mean_of_the_outcome = intercept\n"
        "                        + X * [slope_number_0, slope_number_1, slope_number_2,\n"
        "                               slope_number_3, slope_number_4, slope_number_5,\n"
        "                               slope_number_6, slope_number_7]';\n"
        "}\n"
    )


def test_a_law_too_wide_for_its_place_begins_on_the_next_line() -> None:
    mean: Expression = Call("mean", (Name("deviation_of_a_slope_with_a_very_long_name_indeed"),))
    left = Name("another_parameter_with_a_long_name")
    assert _statement(Tilde(left, "normal", (Binary("/", mean, Name("scale")), Name("one")))) == (
        "model {\n"
        "  another_parameter_with_a_long_name ~ normal(\n"
        "      mean(deviation_of_a_slope_with_a_very_long_name_indeed) / scale, one);\n"
        "}\n"
    )


def test_sums_within_brackets_are_broken_before_their_operators() -> None:
    terms: Expression = Name("first_of_many_terms")
    for place in range(6):
        terms = Binary("+", terms, Name(f"term_number_{place}"))
    text = _statement(Assign(Name("y"), Index(Binary("*", terms, Name("z")), (Name("i"),))))
    assert max(map(len, text.splitlines())) <= printer.WIDTH
    assert "\n        + term_number_3" in text


def test_a_set_and_its_copy_have_one_size() -> None:
    source = printer.program(lowered(models.varying_slopes_noncentred()[0]).tree)
    assert "n_effects_school_2" not in source
    assert source.count("int<lower=0> n_effects_school;") == 1
    assert "matrix[n_school, n_effects_school] z;" in source


def test_idle_definitions_are_left_out() -> None:
    from hdsl.model.ir import Definition, mul, var

    model, _ = models.crossed()
    idle = Definition(name="idle", dims=(), value=mul(var("residual"), var("residual")))
    more = model.model_copy(update={"statements": (*model.statements, idle)})
    assert printer.program(lowered(more).tree) == printer.program(lowered(model).tree)


def test_roles_of_passes_in_words() -> None:
    assert in_words("effect(tutor)") == "effect(tutor)"
    assert in_words("standard(effect(tutor))") == "effect(tutor) in standard units"
    assert in_words("standard(deviation(school), 2)") == "deviation(school) in standard units, part 2"
    assert in_words("standard(anchored(centred(intercept)))") == (
        "intercept at average predictors plus the mean deviation in standard units"
    )
    assert in_words("standards(x)") == "standards(x)"
