"""The study of curriculum.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("curriculum", "A curriculum, schools randomised within districts")
    .data("students.csv")
    .group("district", id="district")
    .group("school", id="school", within="district", file="schools.csv", variables=[covariate("size", "count")])
    .unit(
        "student",
        within="school",
        variables=[covariate("pretest", "real", measured_in="points"), outcome("score", "real", measured_in="points")],
    )
    .treatment("curriculum", old=0, new=1)
    .assign("curriculum", to="school", within=["district"], by=complete(0.5))
    .adjust("pretest", "log(size)")
    .estimand("ate", "average over student of score(curriculum = new) - score(curriculum = old)")
)
