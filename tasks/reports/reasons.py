"""Why sources, candidates and requests are rejected, in plain words."""

from vexpress.tasks.curate.filter import RULES
from vexpress.tasks.engine.reasons import CANDIDATES, FAILURES, NUMBERS, REQUESTS, SOURCES

NOT_MEASURED = "not_measured"
"""Verdict of `vexpress funnel` on what the rules would let pass but lacks its scores."""
OF_RULES = {rule.reason: rule.means for rule in RULES if rule.means}
OF_FUNNEL = {
    NOT_MEASURED: "The pre-filter did not let it pass, so it was never cropped; these rules might.",
}
REASONS = {**NUMBERS, **REQUESTS, **SOURCES, **CANDIDATES, **OF_RULES, **FAILURES, **OF_FUNNEL}
"""Sentence for each reason; where a word is used twice, that of sources and candidates."""


def explain(reason: str | None) -> str:
    """Return the sentence for `reason`; of a reason unknown here, say so."""
    return REASONS.get(reason or "", "A reason that this version does not know.")
