"""The study of depression.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("depression", "Beat the Blues: the answers of one patient are alike")
    .data("depression.csv")
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
    .adjust("bdi_pre", "drug", "length_gt6m", "month")
    .correlate("bdi", within="patient", structure="exchangeable")
    .pool("month", "completely")
    .waive("HDM401", because="depression is taken to fall steadily with the months")
    .waive(
        "HDM363",
        because="missed visits are taken as missing at random given the scores that were seen",
    )
    .estimand("ate", "average over visit of bdi(therapy = blues) - bdi(therapy = usual)")
    .estimand(
        "mild",
        "(share over visit of bdi(therapy = blues) < 14) - (share over visit of bdi(therapy = usual) < 14)",
    )
)
