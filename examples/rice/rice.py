"""The study of rice.hdm in Python."""

from hdsl import Study, complete, outcome

study = (
    Study("rice", "Nitrogen on main plots, management on sub-plots, varieties on sub-sub-plots")
    .data("rice.csv")
    .group("rep", id="rep")
    .group("main_plot", id="main_plot", within="rep")
    .group("sub_plot", id="sub_plot", within="main_plot")
    .unit("plot", within="sub_plot", variables=[outcome("yield", "real", measured_in="t/ha")])
    .treatment("nitrogen", dose="real", measured_in="kg/ha")
    .treatment("management", minimum="Minimum", optimum="Optimum", intensive="Intensive")
    .treatment("variety", v1="V1", v2="V2", v3="V3")
    .assign("nitrogen", to="main_plot", within=["rep"], by=complete())
    .assign("management", to="sub_plot", within=["main_plot"], by=complete())
    .assign("variety", to="plot", within=["sub_plot"], by=complete())
    .prior("sd(intercept, rep)", "halfnormal(1)")
    .estimand("intensive", "average over plot of yield(management = intensive) - yield(management = minimum)")
    .estimand("nitrogen", "average over plot of yield(nitrogen = 140) - yield(nitrogen = 0)")
    .estimand("variety_3", "average over plot of yield(variety = v3) - yield(variety = v1)")
)
