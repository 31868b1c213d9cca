"""The study of quitting.hdm in Python."""

from hdsl import Study, covariate, ignorable, outcome

study = (
    Study("quitting", "Quitting smoking and weight gain, by propensity scores")
    .data("../smoking_cessation/smoking_cessation.csv")
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
            "age",
            "age^2",
            "education",
            "exercise",
            "active",
            "cigarettes",
            "cigarettes^2",
            "smokeyrs",
            "smokeyrs^2",
            "wt71",
            "wt71^2",
        ),
    )
    .propensity("quit", use="weight")
    .waive("HDM363", because="the weight of 1982 is taken as missing at random given what is adjusted for")
    .estimand("ate", "average over person of gain(quit = yes) - gain(quit = no)")
)
