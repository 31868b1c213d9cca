"""The study of class_size_kinds.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("class_size_kinds", "Small classes in kindergarten: kinds of schools")
    .data("class_size_kinds.csv")
    .group("school", id="school")
    .unit(
        "pupil",
        within="school",
        variables=[
            covariate("free_lunch", "binary"),
            outcome("total", "real", measured_in="points, reading and mathematics"),
        ],
    )
    .treatment("small", no=0, yes=1)
    .treatment("aide", no=0, yes=1)
    .assign("small", to="pupil", within="school", by=complete(0.3))
    .assign("aide", to="pupil", within="school", by=complete(), given=("small", "no"))
    .adjust("free_lunch")
    .vary("small", across="school", law="dirichlet")
    .estimand("ate", "average over pupil of total(small = yes) - total(small = no)")
)
