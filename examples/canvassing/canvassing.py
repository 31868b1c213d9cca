"""The study of canvassing.hdm in Python."""

from hdsl import Study, bernoulli, covariate, intermediate, outcome, weight

study = (
    Study("canvassing", "New Haven 1998: a talk at the door and voting")
    .data("canvassing.csv")
    .group("ward", id="ward")
    .unit(
        "cell",
        within="ward",
        variables=[
            weight("voters", "count"),
            covariate("voted_96", "binary"),
            intermediate("met", "binary"),
            outcome("voted_98", "binary"),
        ],
    )
    .treatment("visit", none=0, planned=1, column="assigned")
    .assign("visit", to="cell", by=bernoulli(0.2))
    .principal("home", "met", under="visit", strata={"away": (0, 0), "at_home": (0, 1)}, unaffected="away")
    .adjust("voted_96")
    .estimand("itt", "average over cell of voted_98(visit = planned) - voted_98(visit = none)")
    .estimand(
        "talk",
        "average over cell where home = at_home of voted_98(visit = planned) - voted_98(visit = none)",
    )
    .estimand("without_talk", "average over cell where home = at_home of voted_98(visit = none)")
    .estimand("away", "average over cell where home = away of voted_98(visit = none)")
)
