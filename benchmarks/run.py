from mumath_agent.batch import Batch as Plan
from mumath_agent.batch import PATIENCE_S, Sample
from mumath_agent.batch import run_batch as run_attempts

__all__ = ["PATIENCE_S", "Plan", "Sample", "run_attempts"]
