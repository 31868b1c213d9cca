"""The study of electric_company.hdm in Python."""

from hdsl import Study, complete, covariate, outcome

effect = "average over class of post_test(programme = watched) - post_test(programme = usual)"
study = (
    Study("electric_company", "The Electric Company: a reading programme on television, shown in school")
    .data("electric_company.csv")
    .group("grade", id="grade")
    .group("pair", id="pair", within="grade")
    .unit(
        "class",
        id="class_id",
        within="pair",
        variables=[
            covariate("pre_test", "real", measured_in="points"),
            outcome("post_test", "real", measured_in="points"),
        ],
    )
    .treatment("programme", column="treatment", usual=0, watched=1)
    .assign("programme", to="class", within=["pair"], by=complete(0.5))
    .adjust("centre(pre_test, grade)")
    .vary("centre(pre_test, grade)", across="grade", uncorrelated=True)
    .vary("programme", across="grade", uncorrelated=True)
    .variance("post_test", across="grade")
    .prior("sd(intercept, grade)", "halfnormal(20)")
    .prior("sd(effect(programme), grade)", "halfnormal(5)")
    .prior("sd(slope(centre(pre_test, grade)), grade)", "halfnormal(2)")
    .estimand("average", effect)
    .estimand("by_grade", effect, index="grade")
)
