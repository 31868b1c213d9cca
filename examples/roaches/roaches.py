"""The study of roaches.hdm in Python."""

from hdsl import Study, complete, covariate, exposure, outcome

study = (
    Study("roaches", "Pest management and roaches caught in apartments")
    .data("roaches.csv")
    .unit(
        "flat",
        id="apartment",
        variables=[
            covariate("before", "real", measured_in="roaches", column="roach1"),
            covariate("senior", "binary"),
            exposure("trap_days", "positive", column="exposure2"),
            outcome("caught", "count", column="y"),
        ],
    )
    .treatment("pest_control", column="treatment", none=0, treated=1)
    .assign("pest_control", to="flat", by=complete(0.6))
    .family("caught", "negbinomial")
    .adjust("before", "senior")
    .estimand(
        "ratio",
        "(average over flat of caught(pest_control = treated)) / (average over flat of caught(pest_control = none))",
    )
)
