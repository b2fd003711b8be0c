"""Check that everything the agent builds on is there and works: the checks of `mumath-agent doctor`.

    survey ─▶ installation, machine, server, weights ─▶ findings: ok, warn or fail, each with its remedy

`survey.py` has the order of the checks, `check.py` runs them. Checks look and measure, and repair nothing; printing is
left to `commands/doctor.py`.
"""

from mumath_agent.doctor.check import Check, examine
from mumath_agent.doctor.survey import DoctorOptions, survey
from mumath_agent.serving.finding import Finding, Status

__all__ = ["Check", "DoctorOptions", "Finding", "Status", "examine", "survey"]
