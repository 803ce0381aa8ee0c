"""What a rule is: a threshold of one score, the reason for which it rejects, and its words.

A score that came after version 0.1 has its rules and thresholds in its own file.
"""

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Rule:
    """A clip is rejected for `reason` when `column` is not what the setting allows."""

    reason: str
    column: str
    """Column of `clips`; null passes."""
    setting: str
    """Field of `KeepRules` with the threshold; null passes."""
    words: str
    """What was expected, with `{}` for the threshold."""
    bound: Literal["least", "most", "among"] = "least"
    """Whether the threshold is the least allowed, the most, or all values that are."""
    means: str = ""
    """The reason in plain words, for people; empty where a rule before has the same reason."""

    def breaks(self, value: Any, threshold: Any) -> bool:
        """Return whether `value` breaks the rule."""
        if value is None or threshold is None:
            return False
        if self.bound == "among":
            return bool(value not in threshold)
        return bool(value < threshold if self.bound == "least" else value > threshold)

    def sentence(self, value: Any, threshold: Any) -> str:
        """Return what was expected and what was found."""
        if self.bound == "among":
            return f"expected {self.words.format(' or '.join(threshold))}, found {value}"
        found = f"{value:.4g}" if not isinstance(value, bool) else "one" if value else "none"
        return f"expected {self.words.format(f'{threshold:g}')}, found {found}"

    def loosest(self, a: Any, b: Any) -> Any:
        """Return the threshold that lets more pass; None lets everything pass."""
        if a is None or b is None:
            return None
        if self.bound == "among":
            return (*a, *(value for value in b if value not in a))
        return min(a, b) if self.bound == "least" else max(a, b)
