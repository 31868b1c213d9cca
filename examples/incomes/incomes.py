"""The study of incomes.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("incomes", "Tutoring within schools; incomes of many families are not known")
    .data("incomes.csv")
    .group("school", id="school")
    .unit(
        "pupil",
        within="school",
        variables=[
            covariate("pretest", "real", measured_in="points"),
            covariate("income", "positive", measured_in="thousand a year", missing=True),
            outcome("score", "real", measured_in="points"),
        ],
    )
    .treatment("tutor", none=0, tutored=1)
    .assign("tutor", to="pupil", within="school", by=complete(0.5))
    .adjust("pretest", "log(income)")
)
