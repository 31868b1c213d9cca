"""The study of nsw_training.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

study = (
    Study("nsw_training", "Supported work and later earnings")
    .data("nsw_training.csv")
    .unit(
        "person",
        id="id",
        variables=[
            covariate("age", "real", measured_in="years"),
            covariate("educ", "real", measured_in="years"),
            covariate("nodegree", "binary"),
            covariate("re75", "real", measured_in="USD"),
            outcome("re78", "real", measured_in="USD"),
        ],
    )
    .treatment("programme", column="treat", usual=0, supported=1)
    .assign("programme", to="person", by=complete("185/445"))
    .adjust("age", "educ", "nodegree", "re75")
    .estimand("ate", "average over person of re78(programme = supported) - re78(programme = usual)")
)
