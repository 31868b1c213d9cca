"""The study of road_toll.hdm in Python."""

from hdsl import Study, covariate, outcome

study = (
    Study("road_toll", "Support for a road toll: a web poll and the census")
    .data("poll.csv")
    .group(
        "county",
        id="county",
        variables=[covariate("drivers", "proportion", measured_in="share who drive to work")],
    )
    .group("age", id="age")
    .group("schooling", id="schooling")
    .unit(
        "adult",
        within=["county", "age", "schooling"],
        variables=[covariate("female", "binary"), outcome("support", "binary")],
    )
    .adjust("female", "drivers")
    .poststratify("census.csv", weight="people")
    .prior("intercept", "normal(0, 5)")
    .prior("slope(female)", "normal(0, 2.5)")
    .prior("slope(drivers)", "normal(0, 5)")
    .prior("sd(intercept, county)", "exponential(1)")
    .prior("sd(intercept, age)", "exponential(1)")
    .prior("sd(intercept, schooling)", "exponential(1)")
    .estimand("population", 'average over "census.csv" of support')
    .estimand("women", 'average over "census.csv" where female = 1 of support')
    .estimand("by_county", 'average over "census.csv" of support', index="county")
)
