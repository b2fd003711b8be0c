"""Solutions as whoever trains by doing needs them: token by token, with who wrote each and how probable it was."""

from dataclasses import dataclass, fields

from mumath_agent.errors import MuMathError


class TokensDiffer(MuMathError):
    """Token ids, mask, log-probabilities and text don't belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """An attempt in tokens."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    """Everything after the prompt: what the model wrote, and the outputs in between."""
    logprobs: tuple[float, ...]
    """The natural log-probability of each token for the policy that wrote; 0.0 where `env_mask` is False."""
    env_mask: tuple[bool, ...]
    """True: the model wrote the token."""
    text: str
    """The whole solution."""
    reward: float | None
    """1.0 right, 0.0 wrong, None: ungraded or broken machinery: leave it out."""

    def __post_init__(self) -> None:
        """Refuse what isn't of equal length.

        Raises:
            TokensDiffer: it says how long each is.
        """
        aligned = [field.name for field in fields(self)][1:4]
        lengths = {name: len(getattr(self, name)) for name in aligned}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{number} {name}" for name, number in lengths.items())
            raise TokensDiffer(f"a rollout needs one of each for a token, not {told}")


__all__ = ["Rollout", "TokensDiffer"]
