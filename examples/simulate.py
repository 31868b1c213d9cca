"""Makes the data of the simulated examples. The true values stand in `TRUTH`.

    python examples/simulate.py
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TRUTH = {
    "coaching": {"effect(coaching)": 120.0, "residual": 300.0, "residual(coaching)": 250.0, "slope(prior_pay)": 0.6},
    "curriculum": {"effect(curriculum)": 3.0, "slope(pretest)": 0.8},
    "home_visits": {"effect(visits)": 3.445},
    "incomes": {"effect(tutor)": 3.0, "slope(log(income))": 8.0, "slope(pretest)": 0.5, "residual": 6.0},
    "road_toll": {"slope(female)": 0.2, "slope(drivers)": -2.5, "sd(intercept, county)": 0.4},
    "scholarship": {"effect(scholarship)": 2.0, "slope(pretest)": 0.7, "slope(mean(scholarship, school))": -14.0},
    "stress": {"effect(therapy)": -0.05, "interaction(therapy * month)": -0.04, "residual": 0.15},
    "tracking": {"effect(lessons)": 3.0, "slope(lag(score))": 0.6, "residual": 4.0},
    "tutoring": {"interaction(tutor * poverty)": -4.0, "slope(pretest)": 0.6},
    "turnout": {"effect(mailing)": 0.3, "effect(call)": 0.6, "slope(voted_before)": 1.0},
}


def write(path: str, header: str, *columns: np.ndarray) -> None:
    """Write columns as CSV."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = [",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row) for row in rows]
    (HERE / path).write_text("\n".join([header, *lines]) + "\n")


def coaching() -> None:
    """400 people; coaching brings 120 on average, with a spread of 250 between people beside the residual 300."""
    rng = np.random.default_rng(14)
    age, before = rng.uniform(20, 60, 400).round(), rng.gamma(9, 150, 400).round()
    coached = rng.permutation(np.arange(400) % 2)
    gain = 120 + rng.normal(0, 250, 400)
    pay = 600 + 0.6 * before + 4 * (age - 40) + gain * coached + rng.normal(0, 300, 400)
    columns = (np.arange(1, 401), age.astype(int), before.astype(int), coached, pay.round().astype(int))
    write("coaching/coaching.csv", "person_id,age,prior_pay,coaching,pay", *columns)


def curriculum() -> None:
    """12 districts of 6 schools of 15 students; school ids 1 to 6 repeat across districts."""
    rng = np.random.default_rng(11)
    district, school = np.repeat(np.arange(1, 13), 6), np.tile(np.arange(1, 7), 12)
    size = rng.integers(150, 900, 72)
    treated = np.concatenate([rng.permutation([0, 0, 0, 1, 1, 1]) for _ in range(12)])
    base = 50 + rng.normal(0, 2, 12)[district - 1] + np.log(size / 400) + 3.0 * treated + rng.normal(0, 2, 72)
    row = np.repeat(np.arange(72), 15)
    pretest = rng.normal(0, 5, len(row))
    score = base[row] + 0.8 * pretest + rng.normal(0, 5, len(row))
    write("curriculum/schools.csv", "district,school,size", district, school, size)
    columns = (district[row], school[row], treated[row], pretest.round(2), score.round(2))
    write("curriculum/students.csv", "district,school,curriculum,pretest,score", *columns)


def road_toll() -> None:
    """A web poll of 1,000 adults of 36 counties and the census of all; the young and the schooled answer more often."""
    drivers, cells, people, chance = road_toll_census()
    rng = np.random.default_rng(22)
    county, age, school, _ = cells.T
    answers = np.exp(-0.4 * age + 0.7 * school - 1.2 * drivers[county] + rng.normal(0, 0.5, 36)[county])
    row = rng.choice(len(cells), 1000, p=people * answers / np.sum(people * answers))
    support = (rng.random(1000) < chance[row]).astype(int)
    ages = np.array(["18-29", "30-39", "40-49", "50-59", "60-69", "70+"])
    columns = (county + 1, ages[age], np.array(["none", "school", "trade", "degree"])[school], cells[:, 3])
    write("road_toll/census.csv", "county,age,schooling,female,people", *columns, people)
    polled = [column[row] for column in (columns[0], drivers[county], *columns[1:])]
    write("road_toll/poll.csv", "county,drivers,age,schooling,female,support", *polled, support)


def road_toll_census() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return shares of drivers, the cells (county, age, schooling, female), how many people, and chance of support."""
    rng = np.random.default_rng(21)
    drivers, adults = rng.uniform(0.2, 0.9, 36).round(3), rng.lognormal(11, 0.7, 36)
    by_age = np.array([0.18, 0.18, 0.17, 0.17, 0.15, 0.15])
    schooling = np.linspace([0.15, 0.35, 0.25, 0.25], [0.45, 0.35, 0.12, 0.08], 6)
    cells = np.stack(np.meshgrid(*map(np.arange, (36, 6, 4, 2)), indexing="ij"), axis=-1).reshape(-1, 4)
    county, age, school, female = cells.T
    people = (adults[county] * by_age[age] * schooling[age, school] / 2).round().astype(int)
    eta = 0.2 + rng.normal(0, 0.4, 36)[county] - 2.5 * (drivers[county] - 0.5) + 0.2 * female
    eta += np.array([0.7, 0.4, 0.1, -0.2, -0.4, -0.6])[age] + np.array([-0.4, -0.1, 0.1, 0.4])[school]
    return drivers, cells, people, 1 / (1 + np.exp(-eta))


def scholarship() -> None:
    """50 schools of 8 pupils; 1 to 7 scholarships in each, fewer for the many who apply to good schools."""
    rng = np.random.default_rng(17)
    school, drawn = np.repeat(np.arange(1, 51), 8), rng.choice([1, 2, 4, 6, 7], 50)
    won = np.concatenate([rng.permutation(np.arange(8) < count) for count in drawn]).astype(int)
    base = 50 - 14 * (drawn / 8 - 0.5) + rng.normal(0, 1.5, 50)
    pretest = rng.normal(0, 4, 400).round(2)
    score = base[school - 1] + 2 * won + 0.7 * pretest + rng.normal(0, 5, 400)
    write("scholarship/scholarship.csv", "school,scholarship,pretest,score", school, won, pretest, score.round(2))


def stress() -> None:
    """60 people in six waves, some visits missed; the effect on the log grows by -0.04 a month."""
    rng = np.random.default_rng(15)
    therapy, age = rng.permutation(np.arange(60) % 2), rng.normal(42, 10, 60).round()
    level, course = 2.6 + 0.004 * (age - 42) + rng.normal(0, 0.25, 60), rng.normal(-0.01, 0.03, 60)
    season = rng.normal(0, 0.08, 6)
    person, month = np.repeat(np.arange(60), 6), np.tile(np.arange(6), 60)
    seen = (month == 0) | (rng.random(360) > 0.08)
    person, month = person[seen], month[seen]
    mean = level[person] + course[person] * month + season[month] + (-0.05 - 0.04 * month) * therapy[person]
    cortisol = np.exp(mean + rng.normal(0, 0.15, len(mean))).round(2)
    columns = (person + 1, age[person].astype(int), therapy[person], month, cortisol)
    write("stress/stress.csv", "pid,age,therapy,month,cortisol", *columns)


def incomes() -> None:
    """20 schools of 30 pupils; tutoring brings 3; who scores badly tells the family's income less often."""
    rng = np.random.default_rng(18)
    school = np.repeat(np.arange(20), 30)
    level = rng.normal(0, 0.2, 20)[school]
    pretest = rng.normal(50, 8, 600).round()
    income = np.exp(3.4 + level + 0.02 * (pretest - 50) + rng.normal(0, 0.45, 600))
    tutor = np.concatenate([rng.permutation(np.arange(30) % 2) for _ in range(20)])
    score = 10 + 0.5 * pretest + 8 * np.log(income) + 3 * tutor + rng.normal(0, 2, 20)[school]
    score = (score + rng.normal(0, 6, 600)).round(1)
    gone = rng.random(600) < 1 / (1 + np.exp((score - np.mean(score)) / 5 + 0.8))
    told = np.where(gone, "NA", np.char.mod("%.1f", income))
    columns = (school + 1, tutor, pretest.astype(int), told, score)
    write("incomes/incomes.csv", "school,tutor,pretest,income,score", *columns)


def home_visits() -> None:
    """Simulate visits that help the lightest children by 8 points, those of 2 kg by 4, those of 3 kg not at all."""
    rng = np.random.default_rng(8)
    site = np.repeat(np.arange(1, 9), 75)
    weight = np.round(np.clip(rng.normal(2.1, 0.5, 600), 0.8, 3.2), 2)
    age, schooling = np.round(rng.normal(25, 5, 600), 1), rng.integers(8, 17, 600)
    visits = rng.binomial(1, 1 / (1 + np.exp(1.2 + 1.0 * (weight - 2.1) - 0.15 * (schooling - 12))))
    mean = 85 + 12 * np.sqrt(weight - 0.5) + 0.1 * (schooling - 12) ** 2 + rng.normal(0, 3, 8)[site - 1]
    score = mean + visits * home_visits_effect(weight) + rng.normal(0, 4, 600)
    columns = (site, np.arange(1, 601), weight, age, schooling, visits, score)
    write("home_visits/home_visits.csv", "site,child,weight,age,schooling,visits,score", *columns)


def home_visits_effect(weight: np.ndarray) -> np.ndarray:
    """Return the true effect of visits on children of a birth weight."""
    return 8 / (1 + np.exp(6 * (weight - 2.0)))


def tracking() -> None:
    """300 pupils in six years; who did badly gets extra lessons in the next year, which bring 3 at once."""
    rng = np.random.default_rng(16)
    ability = rng.normal(20, 2.5, 300)
    score = ability / 0.4 + rng.normal(0, 5, 300)
    lessons = np.zeros(300, int)
    columns: list[np.ndarray] = []
    for year in range(1, 7):
        if year > 1:
            lessons = (rng.random(300) < 1 / (1 + np.exp((score - 50) / 5))).astype(int)
            score = ability + 0.6 * score + 3.0 * lessons + rng.normal(0, 4, 300)
        columns.append(np.column_stack([np.arange(1, 301), np.full(300, year), lessons, score.round(1)]))
    pupil, years, taken, scores = np.concatenate(columns).T
    whole = (pupil.astype(int), years.astype(int), taken.astype(int))
    write("tracking/tracking.csv", "pupil,year,lessons,score", *whole, scores)


def tutoring() -> None:
    """30 schools of 20 to 40 students; the effect is 6 - 4 poverty on average, with a spread of 1 between schools."""
    rng = np.random.default_rng(12)
    school = np.repeat(np.arange(1, 31), rng.integers(20, 41, 30))
    poverty = rng.beta(2, 3, 30).round(3)
    alpha, tau = 50 - 5 * poverty + rng.normal(0, 3, 30), 6 - 4 * poverty + rng.normal(0, 1, 30)
    tutor, pretest = rng.integers(0, 2, len(school)), rng.normal(0, 8, len(school)).round(2)
    noise = rng.normal(0, np.where(tutor == 1, np.hypot(6, 4), 6))
    score = alpha[school - 1] + tau[school - 1] * tutor + 0.6 * pretest + noise
    columns = (school, poverty[school - 1], tutor, pretest, score.round(2))
    write("tutoring/tutoring.csv", "school,poverty,tutor,pretest,score", *columns)


def turnout() -> None:
    """60 postcodes of 12 households of 1 to 3 voters."""
    rng = np.random.default_rng(13)
    home = np.arange(720)
    place = home // 12
    mailed = rng.permutation(np.arange(60) % 2)
    called = np.where(mailed[place] == 1, rng.integers(0, 2, 720), 0)
    row = np.repeat(home, rng.integers(1, 4, 720))
    before = rng.integers(0, 2, len(row))
    eta = -0.5 + rng.normal(0, 0.3, 60)[place[row]] + rng.normal(0, 0.5, 720)[row]
    eta = eta + 0.3 * mailed[place[row]] + 0.6 * called[row] + 1.0 * before
    voted = (rng.random(len(row)) < 1 / (1 + np.exp(-eta))).astype(int)
    columns = (place[row] + 1, row + 1, np.arange(1, len(row) + 1), mailed[place[row]], called[row], before, voted)
    write("turnout/turnout.csv", "zip,hh_id,voter_id,mailing,call,voted_before,voted", *columns)


if __name__ == "__main__":
    coaching()
    curriculum()
    incomes()
    road_toll()
    scholarship()
    stress()
    tracking()
    home_visits()
    tutoring()
    turnout()
