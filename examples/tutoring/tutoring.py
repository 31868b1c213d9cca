"""The study of tutoring.hdm in Python."""

from hdsl import Study, bernoulli, covariate, outcome

difference = "score(tutor = tutored) - score(tutor = none)"
study = (
    Study("tutoring", "Tutoring, randomised within schools")
    .data("tutoring.csv")
    .group("school", id="school", variables=[covariate("poverty", "proportion")])
    .unit(
        "student",
        within="school",
        variables=[covariate("pretest", "real", measured_in="points"), outcome("score", "real", measured_in="points")],
    )
    .treatment("tutor", none=0, tutored=1)
    .assign("tutor", to="student", within=["school"], by=bernoulli(0.5))
    .adjust("pretest", "poverty")
    .vary("tutor", across="school")
    .vary("tutor", moderator="poverty", prespecified=True)
    .variance("score", by="tutor", model="additive")
    .estimand("ate", f"average over student of {difference}")
    .estimand("site", f"average over student of {difference}", index="school")
    .estimand("new_site", f"average over population school of {difference}")
    .estimand(
        "tail",
        "(quantile(0.9) over student of score(tutor = tutored)) - (quantile(0.9) over student of score(tutor = none))",
    )
)
