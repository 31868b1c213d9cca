"""The study of smoking_cessation.hdm in Python."""

from hdsl import Study, covariate, ignorable, outcome

effect = "gain(quit = yes) - gain(quit = no)"
study = (
    Study("smoking_cessation", "Quitting smoking and weight gain")
    .data("smoking_cessation.csv")
    .unit(
        "person",
        id="seqn",
        variables=[
            covariate("sex", "binary"),
            covariate("race", "binary"),
            covariate("age", "real", measured_in="years"),
            covariate("education", "category"),
            covariate("exercise", "category"),
            covariate("active", "category"),
            covariate("cigarettes", "real", measured_in="per day", column="smokeintensity"),
            covariate("smokeyrs", "real", measured_in="years"),
            covariate("wt71", "real", measured_in="kg"),
            outcome("gain", "real", measured_in="kg", column="wt82_71"),
        ],
    )
    .treatment("quit", column="qsmk", no=0, yes=1)
    .assign(
        "quit",
        to="person",
        by=ignorable(
            "sex",
            "race",
            "spline(age)",
            "education",
            "exercise",
            "active",
            "spline(cigarettes)",
            "spline(smokeyrs)",
            "spline(wt71)",
        ),
    )
    .vary("quit", moderator="cigarettes", shape="spline")
    .waive("HDM363", because="the weight of 1982 is taken as missing at random given what is adjusted for")
    .estimand("ate", f"average over person of {effect}")
    .estimand("light", f"average over person where cigarettes <= 10 of {effect}")
    .estimand("heavy", f"average over person where cigarettes >= 30 of {effect}")
)
