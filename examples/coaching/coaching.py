"""The study of coaching.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("coaching", "Job-search coaching for unemployed adults (simulated)")
    .data("coaching.csv")
    .unit(
        "person",
        id="person_id",
        variables=[
            covariate("age", "real", "years"),
            covariate("prior_pay", "real", "USD/month"),
            outcome("pay", "real", "USD/month"),
        ],
    )
    .treatment("coaching", usual=0, coached=1)
    .assign("coaching", to="person", by=complete(0.5))
    .adjust("age", "prior_pay")
    .variance("pay", by="coaching", model="additive")
    .estimand("average_effect", "average over person of pay(coaching = coached) - pay(coaching = usual)")
    .estimand("wider", "(sd over person of pay(coaching = coached)) - (sd over person of pay(coaching = usual))")
    .estimand(
        "upper_tail",
        "(quantile(0.9) over person of pay(coaching = coached)) - (quantile(0.9) over person of pay(coaching = usual))",
    )
    .estimand(
        "better_off",
        "share over person of pay(coaching = coached) > pay(coaching = usual) assuming correlation = 0.5",
    )
)
