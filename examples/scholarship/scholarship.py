"""The study of scholarship.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("scholarship", "Scholarships drawn by lot within schools whose odds differ")
    .data("scholarship.csv")
    .group("school", id="school")
    .unit(
        "pupil",
        within="school",
        variables=[covariate("pretest", "real", measured_in="points"), outcome("score", "real", measured_in="points")],
    )
    .treatment("scholarship", lost=0, won=1)
    .assign("scholarship", to="pupil", within=["school"], by=complete())
    .adjust("pretest")
    .estimand("ate", "average over pupil of score(scholarship = won) - score(scholarship = lost)")
)
