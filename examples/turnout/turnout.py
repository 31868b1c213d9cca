"""The study of turnout.hdm in Python."""

from hdsl import Study, bernoulli, complete, covariate, outcome

study = (
    Study("turnout", "Mailing by postcode, calls by household")
    .data("turnout.csv")
    .group("postcode", id="zip")
    .group("household", id="hh_id", within="postcode")
    .unit(
        "voter",
        id="voter_id",
        within="household",
        variables=[covariate("voted_before", "binary"), outcome("voted", "binary")],
    )
    .treatment("mailing", none=0, mailed=1)
    .treatment("call", none=0, called=1)
    .assign("mailing", to="postcode", by=complete(0.5))
    .assign("call", to="household", within=["postcode"], by=bernoulli(0.5), given=("mailing", "mailed"))
    .adjust("voted_before")
    .estimand(
        "mail", "average over voter of voted(mailing = mailed, call = none) - voted(mailing = none, call = none)"
    )
    .estimand(
        "phone", "average over voter of voted(mailing = mailed, call = called) - voted(mailing = mailed, call = none)"
    )
)
