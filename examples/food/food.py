"""The study of food.hdm in Python."""

from hdsl import Study, covariate, outcome

study = (
    Study("food", "Food expenditure of Belgian households, 1857")
    .data("food.csv")
    .unit(
        "household",
        id="household",
        variables=[
            covariate("income", "real", measured_in="francs a year"),
            outcome("foodexp", "real", measured_in="francs a year"),
        ],
    )
    .family("foodexp", "quantile(0.1, 0.25, 0.5, 0.75, 0.9)")
    .adjust("income")
)
