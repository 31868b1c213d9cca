"""Makes the data of the simulated examples. The true values stand in `TRUTH`.

    python examples/simulate.py
"""

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
TRUTH = {
    "curriculum": {"effect(curriculum)": 3.0, "slope(pretest)": 0.8},
    "tutoring": {"interaction(tutor * poverty)": -4.0, "slope(pretest)": 0.6},
    "turnout": {"effect(mailing)": 0.3, "effect(call)": 0.6, "slope(voted_before)": 1.0},
}


def write(path: str, header: str, *columns: np.ndarray) -> None:
    """Write columns as CSV."""
    rows = zip(*(column.tolist() for column in columns), strict=True)
    lines = [",".join(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row) for row in rows]
    (HERE / path).write_text("\n".join([header, *lines]) + "\n")


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
    curriculum()
    tutoring()
    turnout()
