"""The study of eight_schools.hdm in Python."""

from hdsl import Study, outcome

study = (
    Study("eight_schools", "Coaching for the SAT in eight schools")
    .data("eight_schools.csv")
    .unit("school", id="school", variables=[outcome("effect", "real known sd se", measured_in="points")])
    .prior("intercept", "normal(0, 5)")
    .prior("sd(intercept, school)", "halfcauchy(5)")
)
