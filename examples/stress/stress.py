"""The study of stress.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

LOGS = "log(cortisol(therapy = mindful)) - log(cortisol(therapy = usual))"

study = (
    Study("stress", "Mindfulness and cortisol over six waves (simulated)")
    .data("stress.csv")
    .unit("person", id="pid", variables=[covariate("age", "real", "years")])
    .wave("month", id="month")
    .unit("visit", within="person * month", variables=[outcome("cortisol", "positive", "nmol/L")])
    .treatment("therapy", usual=0, mindful=1)
    .assign("therapy", to="person", by=complete(0.5))
    .adjust("age", "month")
    .vary("month", across="person")
    .vary("therapy", moderator="month")
    .estimand("at_the_start", f"average over visit where month = 0 of {LOGS}")
    .estimand("at_the_end", f"average over visit where month = 5 of {LOGS}")
    .estimand(
        "by_month", "average over visit of cortisol(therapy = mindful) - cortisol(therapy = usual)", index="month"
    )
)
