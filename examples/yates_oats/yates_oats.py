"""The study of yates_oats.hdm in Python."""

from hdsl import Study, complete, outcome

study = (
    Study("yates_oats", "Oats: variety on whole plots, nitrogen on sub-plots")
    .data("yates_oats.csv")
    .group("block", id="block")
    .group("plot", id="whole_plot", within="block")
    .unit("subplot", within="plot", variables=[outcome("yield", "real", measured_in="quarter pounds")])
    .treatment("variety", {"golden_rain": "Golden Rain", "marvellous": "Marvellous", "victory": "Victory"})
    .treatment("nitrogen", dose="real", measured_in="cwt/acre")
    .assign("variety", to="plot", within=["block"], by=complete())
    .assign("nitrogen", to="subplot", within=["plot"], by=complete())
    .estimand("marvellous", "average over subplot of yield(variety = marvellous) - yield(variety = golden_rain)")
    .estimand("nitrogen", "average over subplot of yield(nitrogen = 0.6) - yield(nitrogen = 0)")
)
