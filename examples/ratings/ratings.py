"""The study of ratings.hdm in Python."""

from hdsl import Study, outcome

study = (
    Study("ratings", "Ratings of lectures in Zurich")
    .data("ratings.csv")
    .group("dept", id="dept")
    .group("lectage", id="lectage")
    .group("studage", id="studage")
    .unit(
        "cell",
        within=["dept", "lectage", "studage"],
        variables=[outcome("rating", "real known sd se", measured_in="points of 5")],
    )
    .vary("intercept", across=["dept", "lectage"], law="array")
    .prior("sd(intercept, dept)", "halfnormal(0.5)")
    .prior("sd(intercept, lectage)", "halfnormal(0.5)")
    .prior("sd(intercept, studage)", "halfnormal(0.5)")
    .prior("sd(intercept, dept * lectage)", "halfnormal(0.5)")
)
