"""The studies of the language page, as text and as the same study in Python."""

from __future__ import annotations

from collections.abc import Mapping

from hdsl import Study, bernoulli, complete, covariate, ignorable, intermediate, outcome

TEXTS: Mapping[str, str] = {
    "job_search": """\
study job_search "Job-search coaching for unemployed adults"
data "coaching.csv"
unit person id person_id {
  covariate age       : real "years"
  covariate prior_pay : positive "USD/month"
  outcome   pay       : positive "USD/month"
}
treatment coaching { usual = 0, coached = 1 }
assign coaching to person by complete(0.5)
analysis { adjust for age, prior_pay }
estimand ate = average over person of pay(coaching = coached) - pay(coaching = usual)
""",
    "tutoring": """\
study tutoring "Tutoring, randomised within schools"
data "tutoring.csv"
group school id school_id { covariate poverty : proportion }
unit student id student_id in school {
  covariate pretest : real "points"
  outcome   score   : real "points"
}
treatment tutor { none = 0, tutored = 1 }
assign tutor to student within school by complete(0.5)
analysis {
  adjust for pretest, poverty
  vary tutor across school            # (alpha, tau) jointly normal
  vary tutor with poverty prespecified
  variance of score by tutor as additive
}
priors {
  effect(tutor)             ~ normal(0, 5)
  sd(effect(tutor), school) ~ halfnormal(2)
  corr(school)              ~ lkj(2)
}
estimand ate          = average over student of score(tutor = tutored) - score(tutor = none)
estimand site[school] = average over student of score(tutor = tutored) - score(tutor = none)
estimand new_site     = average over population school of score(tutor = tutored) - score(tutor = none)
estimand tail = (quantile(0.9) over student of score(tutor = tutored))
              - (quantile(0.9) over student of score(tutor = none))
""",
    "curriculum": """\
study curriculum "Schools randomised within districts"
data "students.csv"
group district id district
group school id school_id in district from "schools.csv" { covariate size : count }
unit student id student_id in school {
  covariate pretest : real "points"
  outcome   score   : real "points"
}
treatment curriculum { old = 0, new = 1 }
assign curriculum to school within district by complete(0.5)
analysis { adjust for pretest, log(size) }
""",
    "turnout": """\
study turnout "Mailing by postcode, calls by household"
data "voters.csv"
group postcode  id zip
group household id hh_id in postcode
unit voter id voter_id in household {
  covariate voted_before : binary
  outcome   voted        : binary
}
treatment mailing { none = 0, mailed = 1 }
treatment call    { none = 0, called = 1 }
assign mailing to postcode by complete(0.5)
assign call to household within postcode if mailing = mailed by complete(0.5)
analysis { adjust for voted_before }
estimand mail  = average over voter of voted(mailing = mailed, call = none)
                                     - voted(mailing = none, call = none)
estimand phone = average over voter of voted(mailing = mailed, call = called)
                                     - voted(mailing = mailed, call = none)
""",
    "stress": """\
study stress "Mindfulness and cortisol over six waves"
data "cortisol_long.csv"
unit person id pid { covariate age : real "years" }
wave month id wave_no
unit visit in person * month { outcome cortisol : positive "nmol/L" }
treatment therapy { usual = 0, mindful = 1 }
assign therapy to person by complete(0.5)
analysis { adjust for age   correlate cortisol within person as ar1 }
estimand by_month[month] = average over visit of cortisol(therapy = mindful) - cortisol(therapy = usual)
""",
    "union_wage": """\
study union_wage "Union membership and log wages"
data "wage_panel.csv"
unit person id nr { covariate schooling : real "years" column educ }
wave year id year
unit record in person * year {
  covariate exper : real "years"
  outcome   lwage : real "log USD/hour"
}
treatment union { no = 0, yes = 1 }
assign union to record within person, year by ignorable(exper)
analysis { adjust for exper, exper * exper, schooling, mean(union, person) }
""",
    "voucher": """\
study voucher "Training voucher by lottery within sites"
data "voucher.csv"
group site id site_id { covariate p_offer : proportion }
unit applicant id applicant_id in site {
  covariate    schooling : real "years"
  intermediate enrolled  : binary
  outcome      earnings  : real "kUSD"
}
treatment offer { no = 0, yes = 1 }
assign offer to applicant within site by bernoulli(p_offer)
principal stratum from enrolled under offer {   # (if no, if yes)
  never    = (0, 0) unaffected
  complier = (0, 1)
  always   = (1, 1) unaffected
}
analysis { adjust for schooling   vary offer across site }
estimand itt  = average over applicant of earnings(offer = yes) - earnings(offer = no)
estimand cace = average over applicant where stratum = complier of earnings(offer = yes) - earnings(offer = no)
""",
}

_COACHED = "average over person of pay(coaching = coached) - pay(coaching = usual)"
_TUTORED = "score(tutor = tutored) - score(tutor = none)"

JOB_SEARCH = (
    Study("job_search", "Job-search coaching for unemployed adults")
    .data("coaching.csv")
    .unit(
        "person",
        id="person_id",
        variables=[
            covariate("age", "real", "years"),
            covariate("prior_pay", "positive", "USD/month"),
            outcome("pay", "positive", "USD/month"),
        ],
    )
    .treatment("coaching", usual=0, coached=1)
    .assign("coaching", to="person", by=complete(0.5))
    .adjust("age", "prior_pay")
    .estimand("ate", _COACHED)
)
TUTORING = (
    Study("tutoring", "Tutoring, randomised within schools")
    .data("tutoring.csv")
    .group("school", id="school_id", variables=[covariate("poverty", "proportion")])
    .unit(
        "student",
        id="student_id",
        within="school",
        variables=[covariate("pretest", "real", "points"), outcome("score", "real", "points")],
    )
    .treatment("tutor", none=0, tutored=1)
    .assign("tutor", to="student", within=["school"], by=complete(0.5))
    .adjust("pretest", "poverty")
    .vary("tutor", across="school")
    .vary("tutor", moderator="poverty", prespecified=True)
    .variance("score", by="tutor", model="additive")
    .prior("effect(tutor)", "normal(0, 5)")
    .prior("sd(effect(tutor), school)", "halfnormal(2)")
    .prior("corr(school)", "lkj(2)")
    .estimand("ate", f"average over student of {_TUTORED}")
    .estimand("site", f"average over student of {_TUTORED}", index="school")
    .estimand("new_site", f"average over population school of {_TUTORED}")
    .estimand(
        "tail",
        "(quantile(0.9) over student of score(tutor = tutored)) - (quantile(0.9) over student of score(tutor = none))",
    )
)
CURRICULUM = (
    Study("curriculum", "Schools randomised within districts")
    .data("students.csv")
    .group("district", id="district")
    .group("school", id="school_id", within="district", file="schools.csv", variables=[covariate("size", "count")])
    .unit(
        "student",
        id="student_id",
        within="school",
        variables=[covariate("pretest", "real", "points"), outcome("score", "real", "points")],
    )
    .treatment("curriculum", {"old": 0, "new": 1})
    .assign("curriculum", to="school", within="district", by="complete(0.5)")
    .adjust("pretest", "log(size)")
)
TURNOUT = (
    Study("turnout", "Mailing by postcode, calls by household")
    .data("voters.csv")
    .group("postcode", id="zip")
    .group("household", id="hh_id", within="postcode")
    .unit(
        "voter",
        id="voter_id",
        within="household",
        variables=[covariate("voted_before", "binary"), outcome("voted", "binary")],
    )
    .treatment("mailing", none=0, mailed=1)
    .treatment("call", none=0, called=1)
    .assign("mailing", to="postcode", by=complete(0.5))
    .assign("call", to="household", within="postcode", given=("mailing", "mailed"), by=complete(0.5))
    .adjust("voted_before")
    .estimand(
        "mail",
        "average over voter of voted(mailing = mailed, call = none) - voted(mailing = none, call = none)",
    )
    .estimand(
        "phone",
        "average over voter of voted(mailing = mailed, call = called) - voted(mailing = mailed, call = none)",
    )
)
STRESS = (
    Study("stress", "Mindfulness and cortisol over six waves")
    .data("cortisol_long.csv")
    .unit("person", id="pid", variables=[covariate("age", "real", "years")])
    .wave("month", id="wave_no")
    .unit("visit", within="person * month", variables=[outcome("cortisol", "positive", "nmol/L")])
    .treatment("therapy", usual=0, mindful=1)
    .assign("therapy", to="person", by=complete(0.5))
    .adjust("age")
    .correlate("cortisol", within="person", structure="ar1")
    .estimand(
        "by_month",
        "average over visit of cortisol(therapy = mindful) - cortisol(therapy = usual)",
        index=["month"],
    )
)
UNION_WAGE = (
    Study("union_wage", "Union membership and log wages")
    .data("wage_panel.csv")
    .unit("person", id="nr", variables=[covariate("schooling", "real", "years", column="educ")])
    .wave("year", id="year")
    .unit(
        "record",
        within="person * year",
        variables=[covariate("exper", "real", "years"), outcome("lwage", "real", "log USD/hour")],
    )
    .treatment("union", no=0, yes=1)
    .assign("union", to="record", within=["person", "year"], by=ignorable("exper"))
    .adjust("exper", "exper * exper", "schooling", "mean(union, person)")
)
_EARNED = "earnings(offer = yes) - earnings(offer = no)"
VOUCHER = (
    Study("voucher", "Training voucher by lottery within sites")
    .data("voucher.csv")
    .group("site", id="site_id", variables=[covariate("p_offer", "proportion")])
    .unit(
        "applicant",
        id="applicant_id",
        within="site",
        variables=[
            covariate("schooling", "real", "years"),
            intermediate("enrolled", "binary"),
            outcome("earnings", "real", "kUSD"),
        ],
    )
    .treatment("offer", no=0, yes=1)
    .assign("offer", to="applicant", within="site", by=bernoulli("p_offer"))
    .principal(
        "stratum",
        "enrolled",
        under="offer",
        strata={"never": (0, 0), "complier": (0, 1), "always": (1, 1)},
        unaffected=["never", "always"],
    )
    .adjust("schooling")
    .vary("offer", across="site")
    .estimand("itt", f"average over applicant of {_EARNED}")
    .estimand("cace", f"average over applicant where stratum = complier of {_EARNED}")
)

BUILT: Mapping[str, Study] = {
    study.name: study for study in (JOB_SEARCH, TUTORING, CURRICULUM, TURNOUT, STRESS, UNION_WAGE, VOUCHER)
}
