"""Small simulated studies of every design: each builder writes its tables into a folder and returns the study."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hdsl.data.bind import bind
from hdsl.data.bound import Bound
from hdsl.design.parts import bernoulli, complete, covariate, exposure, ignorable, outcome, weight
from hdsl.design.study import Study
from hdsl.diagnostics import Diagnostic
from hdsl.model.derivation import model_of
from hdsl.model.ir import Model, ModelData

Column = NDArray[Any]


@dataclass(frozen=True)
class Design:
    """A study with its folder and the raw columns that were written there."""

    study: Study
    folder: Path
    columns: Mapping[str, Column]

    def with_study(self, study: Study) -> Design:
        """Return another study of the same data."""
        return Design(study, self.folder, self.columns)

    @property
    def bound(self) -> Bound:
        """The study bound to its tables; fails where binding does."""
        found, problems = bind(self.study, self.folder)
        assert found is not None, problems
        return found

    def outcome_of(self) -> tuple[tuple[Model, ModelData] | None, list[Diagnostic]]:
        """Return what the derivation gives."""
        return model_of(self.bound)

    @property
    def made(self) -> tuple[Model, ModelData]:
        """The model and its data; fails where there is none."""
        found, problems = self.outcome_of()
        assert found is not None, [problem.message for problem in problems]
        return found


def write(path: Path, columns: Mapping[str, Column]) -> None:
    """Write columns as a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def design(study: Study, folder: Path, **columns: Column) -> Design:
    """Write the main table and return the design."""
    write(folder / "data.csv", columns)
    return Design(study.data("data.csv"), folder, columns)


def rng() -> Generator:
    """Return the generator that every design starts from."""
    return np.random.default_rng(20260101)


def half(groups: int, size: int) -> Column:
    """Return 0, 1, 0, 1, ... within each group."""
    return np.tile(np.arange(size) % 2, groups)


def randomised(folder: Path) -> Design:
    """Completely randomised, with a covariate."""
    g, n = rng(), 24
    age, z = g.normal(40, 10, n).round(2), half(1, n)
    y = (3 + 0.1 * age + 2 * z + g.normal(0, 1.5, n)).round(3)
    study = (
        Study("coaching")
        .unit("person", id="pid", variables=[covariate("age", "real"), outcome("pay", "real")])
        .treatment("coach", usual=0, coached=1)
        .assign("coach", to="person", by=complete(0.5))
        .adjust("age")
    )
    return design(study, folder, pid=np.arange(n), age=age, coach=z, pay=y)


def blocked(folder: Path) -> Design:
    """Randomised within schools whose treated shares differ."""
    g, groups, size = rng(), 6, 8
    school = np.repeat(np.arange(groups), size)
    treated = np.array([2, 4, 6, 2, 4, 6])
    z = np.concatenate([np.arange(size) < k for k in treated]).astype(int)
    y = (50 + 3 * g.normal(size=groups)[school] + 2 * z + g.normal(0, 4, groups * size)).round(3)
    study = (
        Study("tutoring")
        .group("school", id="school")
        .unit("pupil", id="pupil", within="school", variables=[outcome("score", "real")])
        .treatment("tutor", none=0, tutored=1)
        .assign("tutor", to="pupil", within="school", by=complete(0.5))
    )
    return design(study, folder, school=school, pupil=np.arange(groups * size), tutor=z, score=y)


def clustered(folder: Path) -> Design:
    """Schools randomised within districts; the treatment and a covariate stand in the schools' table."""
    g, districts, schools, size = rng(), 3, 4, 3
    count = districts * schools
    school = np.repeat(np.arange(count), size)
    z, pupils = half(districts, schools), g.integers(50, 400, count)
    pretest = g.normal(0, 1, count * size).round(3)
    level = 2 * g.normal(size=districts)[np.arange(count) // schools] + g.normal(size=count) + 1.5 * z
    y = (20 + level[school] + 2 * pretest + g.normal(0, 2, count * size)).round(3)
    district = np.arange(count) // schools
    write(folder / "schools.csv", {"district": district, "school": np.arange(count), "size": pupils, "reform": z})
    study = (
        Study("curriculum")
        .group("district", id="district")
        .group("school", id="school", within="district", file="schools.csv", variables=[covariate("size", "count")])
        .unit("pupil", within="school", variables=[covariate("pretest", "real"), outcome("score", "real")])
        .treatment("reform", old=0, new=1)
        .assign("reform", to="school", within="district", by=complete(0.5))
        .adjust("pretest", "log(size)")
    )
    found = design(study, folder, district=district[school], school=school, pretest=pretest, score=y)
    return Design(found.study, folder, {**found.columns, "size": pupils, "reform": z})


def split_plot(folder: Path) -> Design:
    """A mailing by postcode, calls by household where mailed; a binary outcome."""
    g, codes, homes, voters = rng(), 6, 4, 2
    count = codes * homes
    home = np.repeat(np.arange(count), voters)
    zip_of_home = np.arange(count) // homes
    mail = np.arange(codes) % 2
    call = np.where(mail[zip_of_home] == 1, np.arange(count) % 2, 0)
    voted = g.integers(0, 2, count * voters)
    study = (
        Study("turnout")
        .group("postcode", id="zip")
        .group("household", id="home", within="postcode")
        .unit("voter", id="voter", within="household", variables=[outcome("voted", "binary")])
        .treatment("mailing", none=0, mailed=1)
        .treatment("call", quiet=0, called=1)
        .assign("mailing", to="postcode", by=complete(0.5))
        .assign("call", to="household", within="postcode", by=complete(0.5), given=("mailing", "mailed"))
    )
    return design(
        study,
        folder,
        zip=zip_of_home[home],
        home=home,
        voter=np.arange(count * voters),
        mailing=mail[zip_of_home[home]],
        call=call[home],
        voted=voted,
    )


def split_split_plot(folder: Path) -> Design:
    """Three treatments at three nested levels."""
    g = rng()
    rep = np.repeat(np.arange(3), 12)
    plot, sub = np.repeat(np.arange(6), 6), np.repeat(np.arange(12), 3)
    study = (
        Study("rice")
        .group("rep", id="rep")
        .group("plot", id="plot", within="rep")
        .group("sub", id="sub", within="plot")
        .unit("strip", id="strip", within="sub", variables=[outcome("yield_", "real", column="y")])
        .treatment("water", dry=0, wet=1)
        .treatment("feed", low=0, high=1)
        .treatment("variety", a=1, b=2, c=3)
        .assign("water", to="plot", within="rep", by=complete(0.5))
        .assign("feed", to="sub", within="plot", by=complete(0.5))
        .assign("variety", to="strip", within="sub", by=complete(1 / 3, 1 / 3, 1 / 3))
    )
    return design(
        study,
        folder,
        rep=rep,
        plot=plot,
        sub=sub,
        strip=np.arange(36),
        water=plot % 2,
        feed=sub % 2,
        variety=np.tile([1, 2, 3], 12),
        y=g.normal(5, 1, 36).round(3),
    )


def panel(folder: Path) -> Design:
    """Persons crossed with months."""
    g, persons, months = rng(), 8, 4
    person, month = np.repeat(np.arange(persons), months), np.tile(np.arange(1, months + 1), persons)
    z = np.arange(persons) % 2
    y = (5 + g.normal(size=persons)[person] + 0.2 * month - z[person] + g.normal(0, 0.5, persons * months)).round(3)
    study = (
        Study("stress")
        .unit("person", id="pid")
        .wave("month", id="wave")
        .unit("visit", within="person * month", variables=[outcome("cortisol", "real")])
        .treatment("therapy", usual=0, mindful=1)
        .assign("therapy", to="person", by=complete(0.5))
        .vary("month", across="person")
    )
    return design(study, folder, pid=person, wave=month, therapy=z[person], cortisol=y)


def multisite(folder: Path) -> Design:
    """Effects that vary across schools and with poverty; a treatment error beside the residual."""
    g, groups, size = rng(), 6, 8
    school = np.repeat(np.arange(groups), size)
    poverty, z = g.uniform(0.1, 0.9, groups).round(3), half(groups, size)
    pretest = g.normal(0, 1, groups * size).round(3)
    y = (50 + 3 * pretest + (2 + poverty[school]) * z + g.normal(0, 2 + z)).round(3)
    study = (
        Study("tutoring")
        .group("school", id="school", variables=[covariate("poverty", "proportion")])
        .unit("pupil", within="school", variables=[covariate("pretest", "real"), outcome("score", "real")])
        .treatment("tutor", none=0, tutored=1)
        .assign("tutor", to="pupil", within="school", by=complete(0.5))
        .adjust("pretest")
        .vary("tutor", across="school")
        .vary("tutor", moderator="poverty", prespecified=True)
        .variance("score", by="tutor", model="additive")
    )
    return design(study, folder, school=school, poverty=poverty[school], pretest=pretest, tutor=z, score=y)


def dosed(folder: Path) -> Design:
    """A continuous treatment whose effect varies across clinics, without correlation."""
    g, groups, size = rng(), 5, 6
    clinic = np.repeat(np.arange(groups), size)
    dose = g.uniform(0, 20, groups * size).round(2)
    y = (100 - 0.5 * dose + g.normal(0, 5, groups * size)).round(3)
    study = (
        Study("dosing")
        .group("clinic", id="clinic")
        .unit("patient", within="clinic", variables=[outcome("pressure", "real")])
        .treatment("dose", dose="positive", measured_in="mg")
        .assign("dose", to="patient", within="clinic", by=ignorable())
        .vary("dose", across="clinic", uncorrelated=True)
    )
    return design(study, folder, clinic=clinic, dose=dose + 0.01, pressure=y)


def several_arms(folder: Path) -> Design:
    """Three arms whose effects vary across sites."""
    g, groups, size = rng(), 5, 9
    site = np.repeat(np.arange(groups), size)
    arm = np.tile(np.array(["pill", "talk", "both"]), groups * size // 3)
    y = g.normal(10, 2, groups * size).round(3)
    study = (
        Study("therapy")
        .group("site", id="site")
        .unit("client", within="site", variables=[outcome("mood", "real")])
        .treatment("arm", pill="pill", talk="talk", both="both")
        .assign("arm", to="client", within="site", by=complete(1 / 3, 1 / 3, 1 / 3))
        .vary("arm", across="site")
    )
    return design(study, folder, site=site, arm=arm, mood=y)


def interacting(folder: Path) -> Design:
    """A factorial design with an interaction, and separate spreads by arm."""
    g, n = rng(), 24
    study = (
        Study("factorial")
        .unit("plot", variables=[outcome("yield_", "real", column="y")])
        .treatment("nitrogen", no=0, yes=1)
        .treatment("potash", no=0, low=1, high=2)
        .assign("nitrogen", to="plot", by=complete(0.5))
        .assign("potash", to="plot", by=complete(1 / 3, 1 / 3, 1 / 3))
        .interact("nitrogen", "potash")
        .variance("yield_", by="nitrogen")
    )
    return design(study, folder, nitrogen=np.arange(n) % 2, potash=np.arange(n) // 2 % 3, y=g.normal(9, 2, n).round(3))


def unpooled(folder: Path) -> Design:
    """Fixed effects of schools."""
    found = blocked(folder)
    return found.with_study(found.study.pool("school", "none"))


def pooled(folder: Path) -> Design:
    """Schools left out."""
    found = blocked(folder)
    return found.with_study(found.study.pool("school", "completely"))


def summaries(folder: Path) -> Design:
    """A meta-analysis: each site's estimate with its standard error."""
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    se = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])
    study = Study("eight").unit("site", id="site", variables=[outcome("gain", "real known sd se")])
    return design(study, folder, site=np.array(list("ABCDEFGH")), gain=y, se=se)


def counted(folder: Path) -> Design:
    """Successes in trials, with an effect of the plate."""
    g, n = rng(), 16
    trials = g.integers(4, 40, n)
    study = (
        Study("seeds")
        .unit("plate", id="plate", variables=[outcome("sprouted", "count of sown")])
        .treatment("extract", bean=0, cucumber=1)
        .assign("extract", to="plate", by=complete(0.5))
        .vary("intercept", across="plate")
    )
    return design(
        study, folder, plate=np.arange(n), sown=trials, sprouted=g.binomial(trials, 0.4), extract=np.arange(n) % 2
    )


def exposed(folder: Path) -> Design:
    """Counts with an exposure: Poisson, within buildings."""
    g, groups, size = rng(), 5, 6
    building = np.repeat(np.arange(groups), size)
    days = g.uniform(5, 30, groups * size).round(1)
    z = half(groups, size)
    y = g.poisson(days * 0.3 * np.exp(-0.5 * z))
    study = (
        Study("roaches")
        .group("building", id="building")
        .unit("flat", within="building", variables=[exposure("days"), outcome("roaches", "count")])
        .treatment("pest", no=0, yes=1)
        .assign("pest", to="flat", within="building", by=complete(0.5))
        .family("roaches", "poisson")
    )
    return design(study, folder, building=building, days=days, pest=z, roaches=y)


def overdispersed(folder: Path) -> Design:
    """Counts with the default family."""
    found = exposed(folder)
    families = tuple(item for item in found.study.analysis if item.node != "family")
    return found.with_study(Study(**{**dict(found.study), "analysis": families}))


def graded(folder: Path) -> Design:
    """An ordered outcome."""
    g, n = rng(), 30
    x = g.normal(1, 1, n).round(3)
    study = (
        Study("pain")
        .unit("patient", variables=[covariate("age", "real"), outcome("pain", "ordered")])
        .treatment("drug", placebo=0, active=1)
        .assign("drug", to="patient", by=complete(0.5))
        .adjust("age")
    )
    return design(study, folder, age=x, drug=np.arange(n) % 2, pain=g.integers(1, 5, n))


def survival(folder: Path) -> Design:
    """Censored durations."""
    g, n = rng(), 30
    study = (
        Study("survival")
        .unit("patient", variables=[outcome("months", "duration censored by left")])
        .treatment("drug", placebo=0, active=1)
        .assign("drug", to="patient", by=bernoulli(0.5))
    )
    time = g.weibull(1.4, n).round(3) * 12 + 0.1
    return design(study, folder, drug=g.integers(0, 2, n), months=time, left=(g.random(n) < 0.3).astype(int))


def weighted(folder: Path) -> Design:
    """Survey weights and a student family."""
    found = randomised(folder)
    g = rng()
    columns = {**found.columns, "w": g.uniform(0.5, 2, 24).round(3)}
    study = (
        Study("weighted")
        .unit("person", id="pid", variables=[weight("w"), outcome("pay", "real")])
        .treatment("coach", usual=0, coached=1)
        .assign("coach", to="person", by=complete(0.5))
        .family("pay", "student")
    )
    return design(study, folder, **columns)


def with_priors(folder: Path) -> Design:
    """Priors of the user."""
    found = multisite(folder)
    study = (
        found.study.prior("effect(tutor)", "normal(0, 5)")
        .prior("sd(effect(tutor), school)", "normal(0, 2)")
        .prior("corr(school)", "lkj(4)")
        .prior("intercept", "student(4, 50, 10)")
        .prior("residual", "exponential(0.2)")
    )
    return found.with_study(study)


def uneven(folder: Path) -> Design:
    """Residual spreads that vary by school and with a covariate."""
    found = multisite(folder)
    kept = tuple(item for item in found.study.analysis if item.node == "adjust")
    study = Study(**{**dict(found.study), "analysis": kept})
    return found.with_study(study.variance("score", across="school").variance("score", with_="pretest"))


def heavy_tailed(folder: Path) -> Design:
    """Effects that vary across schools by a student law."""
    found = blocked(folder)
    return found.with_study(found.study.vary("tutor", across="school", uncorrelated=True, law="student"))


def positive(folder: Path) -> Design:
    """A positive outcome, lognormal by default, with schools and a covariate that varies within them."""
    g, groups, size = rng(), 6, 8
    school, z, pretest = np.repeat(np.arange(groups), size), half(groups, size), g.normal(size=groups * size).round(3)
    y = np.exp(1 + 0.3 * g.normal(size=groups)[school] + 0.2 * z + 0.1 * pretest + g.normal(0, 0.4, groups * size))
    study = (
        Study("wages")
        .group("school", id="school")
        .unit("pupil", within="school", variables=[covariate("pretest", "real"), outcome("wage", "positive")])
        .treatment("tutor", none=0, tutored=1)
        .assign("tutor", to="pupil", within="school", by=complete(0.5))
        .adjust("pretest")
        .vary("tutor", across="school")
    )
    return design(study, folder, school=school, tutor=z, pretest=pretest, wage=y.round(4))


def positive_by(family: str) -> Callable[[Path], Design]:
    """Return the design of a positive outcome under another family."""

    def build(folder: Path) -> Design:
        found = positive(folder)
        return found.with_study(found.study.family("wage", family))

    build.__name__ = family
    return build


DESIGNS: Mapping[str, Callable[[Path], Design]] = {
    build.__name__: build
    for build in (
        randomised,
        blocked,
        clustered,
        split_plot,
        split_split_plot,
        panel,
        multisite,
        dosed,
        several_arms,
        interacting,
        unpooled,
        pooled,
        summaries,
        counted,
        exposed,
        overdispersed,
        graded,
        survival,
        weighted,
        with_priors,
        uneven,
        heavy_tailed,
        positive,
        *(positive_by(family) for family in ("gamma", "weibull", "hurdle_lognormal", "hurdle_gamma")),
    )
}
