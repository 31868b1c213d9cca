"""The form of every statement, variable and amendment, shown in the help of a syntax error."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_VARIABLE = ' NAME : KIND [missing] ["measured in"] [column COLUMN]'

FORMS: Mapping[str, str] = MappingProxyType(
    {
        "HDM": "hdm 1",
        "STUDY": 'study NAME "title"',
        "DATA": 'data "file.csv"',
        "GROUP": 'group NAME [id COLUMN] [in GROUP] [from "file"] [{ variables }]',
        "WAVE": "wave NAME [id COLUMN] [{ variables }]",
        "UNIT": "unit NAME [id COLUMN] [in PARENT] [in A * B] [{ variables }]",
        "TREATMENT": "treatment NAME [column COLUMN] { arm = code, arm = code }",
        "ASSIGN": "assign TREATMENT to UNIT [within GROUP, ...] [if TREATMENT = arm] by MECHANISM",
        "PRINCIPAL": "principal NAME from INTERMEDIATE under TREATMENT { stratum = (0, 1) [unaffected] ... }",
        "ANALYSIS": "analysis { amendments }",
        "MODEL": "model { PARAMETER ~ DISTRIBUTION(...)  NAME = EXPRESSION ... }",
        "PRIORS": "priors { TARGET ~ DISTRIBUTION(...) ... }",
        "ESTIMAND": "estimand NAME[index] = average over UNIT [where TEST] of EXPRESSION",
        "ASSUME": "assume { LEVEL: SIZE [per LEVEL]  TARGET = VALUE ... }",
        "WAIVE": 'waive CODE because "reason"',
        "COVARIATE": "covariate" + _VARIABLE,
        "INTERMEDIATE": "intermediate" + _VARIABLE,
        "OUTCOME": "outcome" + _VARIABLE,
        "WEIGHT": "weight" + _VARIABLE,
        "EXPOSURE": "exposure" + _VARIABLE,
        "FAMILY": "family OUTCOME FAMILY(...)",
        "ADJUST": "adjust for TERM, TERM, ...",
        "VARY": "vary EFFECT across GROUP [uncorrelated] [as LAW], or vary EFFECT with TERM [as SHAPE]",
        "INTERACT": "interact TREATMENT * TREATMENT",
        "SHRINK": "shrink interactions as PRIOR",
        "VARIANCE": "variance of OUTCOME by TREATMENT [as MODEL], or with TERM, or across GROUP",
        "CORRELATE": "correlate OUTCOME within UNIT as STRUCTURE",
        "POOL": "pool GROUP completely / partially / none",
        "PROPENSITY": "propensity for TREATMENT [with TERM, ...] [across GROUP] as strata(5) / weight / covariate",
        "SURFACE": "surface of OUTCOME given TERM, ... as bart / gp",
        "POSTSTRATIFY": 'poststratify over "file.csv" weight COLUMN',
    }
)
"""Forms by the type of the keyword that opens them."""
