"""The study of union_wage.hdm in Python."""

from hdsl import Study, covariate, ignorable, outcome

study = (
    Study("union_wage", "Union membership and log wages")
    .data("union_wage.csv")
    .unit("person", id="nr", variables=[covariate("schooling", "real", measured_in="years", column="educ")])
    .wave("year", id="year")
    .unit(
        "record",
        within="person * year",
        variables=[
            covariate("exper", "real", measured_in="years"),
            outcome("lwage", "real", measured_in="log USD/hour"),
        ],
    )
    .treatment("union", no=0, yes=1)
    .assign("union", to="record", by=ignorable("exper"))
    .adjust("exper", "exper * exper", "schooling", "mean(union, person)")
    .estimand("premium", "average over record of lwage(union = yes) - lwage(union = no)")
)
