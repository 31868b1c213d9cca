"""The study of tracking.hdm in Python."""

from hdsl import Study, ignorable, outcome

study = (
    Study("tracking", "Extra lessons for pupils who did badly the year before")
    .data("tracking.csv")
    .unit("pupil", id="pupil")
    .wave("year", id="year")
    .unit("record", within="pupil * year", variables=[outcome("score", "real", measured_in="points")])
    .treatment("lessons", none=0, extra=1)
    .assign("lessons", to="record", by=ignorable("lag(score)"))
    .prior("sd(intercept, year)", "halfnormal(2)")
    .waive("HDM367", because="the first year is where pupils start from; nobody had lessons yet")
    .estimand(
        "by_year",
        "average over record of score(lessons = extra) - score(lessons = none)",
        index="year",
    )
    .estimand(
        "early",
        "average over record where year = 6 of "
        "score(lessons = extra at year 2..3) - score(lessons = none at year 2..3)",
    )
)
