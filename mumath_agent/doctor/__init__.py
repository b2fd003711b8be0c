"""Is everything there, and does it work? What `mumath-agent doctor` looks at, check by check.

    survey ─▶ installation, machine, server, weights ─▶ findings: ok, warn or fail, each with its remedy

`survey.py` has the order, `finding.py` what a check is. Checks look and measure, and mend nothing; printing is left to
`commands/doctor.py`.
"""

from mumath_agent.doctor.finding import Check, Finding, Status, examine
from mumath_agent.doctor.survey import Wanted, survey

__all__ = ["Check", "Finding", "Status", "Wanted", "examine", "survey"]
