"""The study of beat_the_blues.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

difference = "average over visit of bdi(therapy = blues) - bdi(therapy = usual)"
study = (
    Study("beat_the_blues", "Beat the Blues against usual care: depression after two to eight months")
    .data("beat_the_blues.csv")
    .unit(
        "patient",
        id="subject",
        variables=[
            covariate("drug", "binary"),
            covariate("length_gt6m", "binary"),
            covariate("bdi_pre", "real", measured_in="points"),
        ],
    )
    .wave("month", id="month")
    .unit("visit", within="patient * month", variables=[outcome("bdi", "real", measured_in="points")])
    .treatment("therapy", column="treatment", usual=0, blues=1)
    .assign("therapy", to="patient", by=complete(0.5))
    .adjust("bdi_pre", "drug", "length_gt6m")
    .vary("therapy", moderator="month")
    .prior("sd(intercept, month)", "halfnormal(5)")
    .waive(
        "HDM363",
        because="missed visits are taken as missing at random given the scores that were seen",
    )
    .estimand("ate", difference)
    .estimand("by_month", difference, index="month")
)
