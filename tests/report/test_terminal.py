"""What a terminal shows of a result, in plain text where it is none."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from hdsl import Result, Settings
from hdsl.backend import Progress
from hdsl.report.notebook import result_html
from hdsl.report.summary import Summary
from hdsl.report.terminal import progress_bars, show_result


def shown(result: Result, *, colour: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=colour, color_system="standard" if colour else None)
    show_result(result, console)
    return stream.getvalue()


def summaries(name: str, count: int) -> tuple[Summary, ...]:
    made = [Summary(name, {"site": f"[bold]{i}"}, i, 1, i - 2, i, i + 2, 0.5) for i in range(count)]
    return tuple(made)


def test_the_design_is_told_in_two_lines(found: Result) -> None:
    lines = shown(found).splitlines()
    assert lines[0] == "tutoring: Tutoring, randomised within schools"
    assert lines[1] == "school: 8, student: 80; tutor to each student within school by complete"
    assert lines[-1] == found.verdict
    assert lines[-2] == f"{found.inference}."
    assert "\x1b[" not in shown(found)
    assert "\x1b[" in shown(found, colour=True)


def test_a_sampling_that_failed_is_told_before_the_numbers_and_in_every_title(found: Result) -> None:
    failed = replace(found, diagnosis=replace(found.diagnosis, verdict="fail", divergences=70, max_rhat=1.2))
    text = shown(failed)
    total = found.diagnosis.chains * found.diagnosis.draws
    assert f"SAMPLING FAILED: the chains disagree (R-hat 1.200); 70 of {total} draws diverged." in text
    assert text.index("do not use or report") < text.index("Estimands")
    begin = ("Estimands", "Parameters", "effect(tutor)[school],")
    titles = [line for line in text.splitlines() if line.startswith(begin)]
    assert len(titles) == 3
    assert all(line.endswith("(not to be used: the sampling failed)") for line in titles)
    assert "not to be used" not in shown(found)
    page = result_html(failed)
    assert page.index("SAMPLING FAILED") < page.index("Estimands")


def test_estimands_have_the_probability_of_their_direction(found: Result) -> None:
    (line,) = [line for line in shown(found).splitlines() if line.startswith("ate")]
    assert line.split()[-1] == f"{found.estimand_summaries[0].positive:.3f}"


def test_group_effects_are_small_intervals(found: Result) -> None:
    text = shown(found)
    title = text.index("effect(tutor)[school], 8 in all")
    rows = text[title:].splitlines()[2:10]
    assert sorted(row.split()[0] for row in rows) == [f"s{i + 1}" for i in range(8)]
    assert all("●" in row for row in rows)
    middles = [float(row.split()[1]) for row in rows]
    assert middles == sorted(middles)


@pytest.mark.parametrize(("count", "listed"), [(12, True), (13, False)])
def test_an_estimand_of_many_units_is_drawn_not_listed(found: Result, count: int, listed: bool) -> None:
    text = shown(replace(found, estimand_summaries=summaries("by_site", count)))
    assert ("by_site[[bold]3]" in text) == listed
    assert ("by_site, 13 in all, the lowest and highest 6" in text) == (not listed)


@pytest.mark.parametrize("terminal", [True, False])
def test_numbers_are_whole_beside_long_names(found: Result, terminal: bool) -> None:
    name = "corr(effect(machine)[second], effect(machine)[third], worker)"
    rows = (Summary(name, {}, -0.17912, 0.31234, -0.65123, -0.20123, 0.37123, 0.5),)
    stream = io.StringIO()
    console = Console(file=stream, width=60, force_terminal=terminal, color_system=None)
    show_result(replace(found, parameter_summaries=rows, estimand_summaries=rows), console)
    lines = stream.getvalue().splitlines()
    (line,) = [line for line in lines if "-0.18  0.31  -0.65  -0.20  0.37" in line and not line.endswith("0.500")]
    assert line.startswith(name) != terminal
    assert "…" not in stream.getvalue()


def test_progress_is_shown_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with progress_bars(Settings(), quiet=False) as report:
        assert report is None
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    with progress_bars(Settings(chains=2, draws=50, warmup=50), quiet=False) as report:
        assert report is not None
        report(Progress(1, 75, 100, warming_up=False, divergences=3))
    said = stream.getvalue()
    assert "chain 2" in said
    assert "3 divergences" in said
    assert "sampling" in said
    assert "time left" in said


def test_before_chains_move_there_are_none_to_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact draws and compilers have no chains: nothing may look like one that stands still."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    stream.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setenv("TERM", "xterm-256color")
    with progress_bars(Settings(), quiet=False):
        pass
    said = stream.getvalue()
    assert "working" in said
    assert "chain" not in said
