"""Small studies for the tests of the checks, and what they are found to be."""

from __future__ import annotations

from dataclasses import dataclass

from hdsl.checks import check_study
from hdsl.design.from_syntax import to_study
from hdsl.design.spans import Spans
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic
from hdsl.source import Source
from hdsl.syntax.parse import parse

type Edit = str | tuple[str, str]

SCHOOLS = """
study tutoring
data "tutoring.csv"
group district id district_id
group school id school_id in district { covariate poverty : proportion  covariate size : count }
unit student id student_id in school {
  covariate pretest : real
  covariate income : positive
  covariate sex : binary
  covariate language : category
  covariate chance : proportion
  intermediate hours : positive
  intermediate took : binary
  outcome score : real
}
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by complete(0.5)
"""

VISITS = """
study stress
data "visits.csv"
unit person id pid { covariate age : real }
wave month id wave_no
unit visit in person * month { covariate late : binary  outcome cortisol : real }
treatment therapy { usual = 0, mindful = 1 }
assign therapy to person by complete(0.5)
"""

VOTERS = """
study turnout
data "voters.csv"
group postcode id zip
group household id hh_id in postcode
unit voter id voter_id in household { covariate age : real  outcome voted : binary }
treatment mailing { none = 0, mailed = 1 }
treatment call { none = 0, called = 1 }
assign mailing to postcode by complete(0.5)
assign call to household within postcode if mailing = mailed by complete(0.5)
"""

DOSES = """
study pills
data "pills.csv"
unit person id pid { covariate age : real  outcome pain : real }
treatment dose : positive "mg"
assign dose to person by ignorable(age)
"""

EQUATIONS = """
study given
data "tutoring.csv"
group school id school_id
unit student id student_id in school { covariate pretest : real  outcome score : real }
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by complete(0.5)
model {
  score[student] ~ normal(alpha[school] + beta * pretest + tau[school] * tutor, sigma)
  alpha[school], tau[school] ~ multinormal((mu_alpha, mu_tau), sd = (sd_alpha, sd_tau), corr = rho)
  mu_alpha ~ normal(50, 20)   mu_tau ~ normal(0, 5)   beta ~ normal(0, 1)
  sigma ~ halfnormal(10)   sd_alpha ~ halfnormal(10)   sd_tau ~ halfnormal(5)   rho ~ lkj(2)
}
"""


@dataclass(frozen=True)
class Checked:
    """A study from text, its findings, and the text at which each of them points."""

    study: Study
    source: Source
    spans: Spans
    findings: list[Diagnostic]

    @property
    def codes(self) -> set[str]:
        """The codes found."""
        return {finding.code for finding in self.findings}

    def at(self, finding: Diagnostic) -> str:
        """The text at which a finding points, its blanks made single."""
        assert finding.path is not None
        span = self.spans.of(*finding.path)
        return "" if span is None else " ".join(self.source.slice(span).split())


def edited(text: str, *edits: Edit) -> str:
    """Return a study's text with parts replaced (pairs) or added at its end."""
    for edit in edits:
        if isinstance(edit, str):
            text += edit + "\n"
        else:
            assert edit[0] in text, edit[0]
            text = text.replace(edit[0], edit[1], 1)
    return text


def read(text: str) -> tuple[Study, Source, Spans]:
    """Return the study of a text without errors of syntax."""
    source = Source.of("study.hdm", text)
    tree, found = parse(source)
    assert not found, [d.message for d in found]
    assert tree is not None
    study, spans, more = to_study(tree)
    assert study is not None
    assert not more, [d.message for d in more]
    return study, source, spans


def checked(text: str, *edits: Edit) -> Checked:
    """Return what the checks find in a study after edits, but for what it waives."""
    study, source, spans = read(edited(text, *edits))
    waived = {waiver.code for waiver in study.waivers}
    return Checked(study, source, spans, [d for d in check_study(study) if d.code not in waived])
