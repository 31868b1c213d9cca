"""The study of home_visits.hdm in Python."""

from hdsl import Study, covariate, ignorable, outcome

_EFFECT = "score(visits = visited) - score(visits = none)"
study = (
    Study("home_visits", "Home visits to infants of low birth weight, in eight sites")
    .data("home_visits.csv")
    .group("site", id="site")
    .unit(
        "child",
        id="child",
        within="site",
        variables=[
            covariate("weight", "positive", measured_in="kg"),
            covariate("age", "real", measured_in="years"),
            covariate("schooling", "real", measured_in="years"),
            outcome("score", "real", measured_in="points"),
        ],
    )
    .treatment("visits", none=0, visited=1)
    .assign("visits", to="child", by=ignorable("weight", "age", "schooling"))
    .surface("score", given=["weight", "age", "schooling"], law="bart")
    .estimand("effect", f"average over child of {_EFFECT}")
    .estimand("lightest", f"average over child where weight < 1.5 of {_EFFECT}")
    .estimand("heaviest", f"average over child where weight > 2.5 of {_EFFECT}")
)
