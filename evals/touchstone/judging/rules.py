"""Rules that judge paired samples: by pairs, by the draws of a clustering, and by equivalence."""

import math
from dataclasses import dataclass, replace

from touchstone.formatting import points, signed_points
from touchstone.judging.pairing import Extreme, Paired, shorten
from touchstone.judging.power import passable
from touchstone.judging.statistics import detectable, samples_to_settle
from touchstone.records.verdicts import Rule, Terms, Verdict, VerdictWord

# 0.82 - 0.8205 is not -0.0005 in binary, yet a score exactly at a bound is within it.
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The expected score, the difference from it, and both in words."""

    expected: float
    delta: float
    words: str

    def verdict(self, word: VerdictWord, rule: Rule, why: str) -> Verdict:
        """Return a verdict whose reason ends with ``why``."""
        return Verdict(word=word, rule=rule, baseline=self.expected, delta=self.delta, reason=self.words + why)


def by_draws(terms: Terms, paired: Paired, change: Change) -> Verdict:
    """Judge a clustering by its draws, which have the same seeds on both sides: by the margin and by chance."""
    change = _with_facts(change, paired, terms, "draws")
    if change.delta >= terms.margin - ROUNDING and paired.p_gain < terms.case_level:
        return change.verdict("improved", "draws", "")
    if change.delta > -terms.margin - ROUNDING:
        return change.verdict("pass", "draws", f", within the margin of {points(terms.margin)}")
    if paired.p_loss < terms.case_level:
        return change.verdict("regressed", "draws", "")
    return change.verdict("inconclusive", "draws", f"; its {paired.difference.n} draws scatter too much")


def by_pairs(terms: Terms, paired: Paired, change: Change) -> Verdict:
    """Judge by the samples: worse or better beyond margin and chance, certainly within the margin, or inconclusive."""
    difference, margin = paired.difference, terms.margin
    change = replace(change, delta=difference.mean)
    if paired.changed == 0:
        return change.verdict("pass", "paired", f": identical on {difference.n} samples")
    change = _with_facts(change, paired, terms, "samples")
    if difference.mean <= -margin + ROUNDING and paired.p_loss < terms.case_level:
        return change.verdict("regressed", "paired", f"; worst: {shorten(paired.lost)}" if paired.lost else "")
    if difference.mean >= margin - ROUNDING and paired.p_gain < terms.case_level:
        return change.verdict("improved", "paired", "")
    if paired.exceeds(-margin, terms.confidence):
        return change.verdict("pass", "paired", _may_hide(paired, terms))
    lost = f"; worst: {shorten(paired.lost)}" if paired.lost and difference.mean <= -margin + ROUNDING else ""
    return change.verdict("inconclusive", "paired", f"{_settling(paired, terms, margin)}{lost}")


def by_equivalence(terms: Terms, paired: Paired, change: Change) -> Verdict:
    """Judge whether two scores are proven equivalent, by two one-sided tests (Schuirmann 1987) of the bound."""
    difference, bound = paired.difference, terms.bound
    change = replace(change, delta=difference.mean)
    if paired.changed == 0:
        return change.verdict("pass", "equivalent", f": identical on {difference.n} samples")
    change = _with_facts(change, paired, terms, "samples")
    if paired.exceeds(-bound, terms.confidence) and paired.stays_below(bound, terms.confidence):
        return change.verdict("pass", "equivalent", f"; the same within {points(bound)}")
    if difference.mean <= -bound + ROUNDING and paired.p_loss < terms.case_level:
        return change.verdict("regressed", "equivalent", f"; worst: {shorten(paired.lost)}" if paired.lost else "")
    if difference.mean >= bound - ROUNDING and paired.p_gain < terms.case_level:
        return change.verdict("drifted", "equivalent", f"; better by more than {points(bound)}, so not the same")
    return change.verdict("inconclusive", "equivalent", _settling(paired, terms, bound))


def _with_facts(change: Change, paired: Paired, terms: Terms, word: str) -> Change:
    """Add the facts of the samples to the parenthesis with the difference."""
    return replace(change, words=f"{change.words[:-1]}, {_facts(paired, terms, word)})")


def _may_hide(paired: Paired, terms: Terms) -> str:
    """Return how large a loss a pass may hide, and in which stratum if one of them may have lost more."""
    low = paired.lowest(terms.confidence)
    hidden = paired.hidden
    if hidden is None or hidden.low >= low:
        return f"; could hide a loss of {points(-low)}" if low < 0 else ""
    return f"; could hide a loss of {points(-hidden.low)} in {hidden.stratum}, of {hidden.n} samples"


def _settling(paired: Paired, terms: Terms, margin: float) -> str:
    """Return how many samples would decide, or why no number of samples like these would."""
    difference = paired.difference
    if not math.isfinite(difference.error):
        return "; its splits and subsets have too few samples to judge by"
    is_lost = difference.mean <= -margin + ROUNDING  # which more samples may prove, however few a pass would have
    if not is_lost and (few := _too_few(paired, terms, margin)) is not None:
        return few
    if paired.by_experiments:
        return "; its experiments differ too much, which more samples would not settle"
    extreme: Extreme | None = paired.best if is_lost else paired.worst
    shift = None if extreme is None else extreme.shift
    if is_lost:
        difference = replace(difference, mean=min(difference.mean, -margin))
    needed = samples_to_settle(difference, shift, margin, terms.case_level, terms.confidence)
    if paired.units == difference.n:
        return f"; about {needed} samples would settle it"
    units = math.ceil(paired.units * needed / difference.n)
    return f"; about {units} units ({needed} samples) like these {paired.units} would settle it"


def _too_few(paired: Paired, terms: Terms, margin: float) -> str | None:
    """Return the margin at which so few samples could pass, if they never can at this one.

    However alike the others are, one sample more that loses everything moves the bound by its weight and by its weight
    times the quantile of the confidence: 2.65 weights at 95 %.
    """
    if paired.worst is None:
        return None
    name, n = min(paired.strata, key=lambda stratum: stratum[1])
    loss, difference = -paired.worst.loss / len(paired.strata), paired.difference
    least = (1 + difference.quantile(terms.confidence)) * loss
    if least / (n + 1) < margin:
        return None
    # No fewer than a plan says beforehand; more units have more degrees of freedom.
    enough = passable(replace(terms, margin=margin), loss)
    of_more = replace(difference, degrees=difference.degrees * enough / n)
    enough = max(enough, math.floor((1 + of_more.quantile(terms.confidence)) * loss / margin))
    where = f"the {n} samples of {name} are" if len(paired.strata) > 1 else f"{n} samples are"
    return (
        f"; {where} too few to pass at a margin of {points(margin)}, which takes {enough}; "
        f"these could pass at {points(least / (n + 1) + 5e-5)}"
    )


def _facts(paired: Paired, terms: Terms, word: str) -> str:
    difference, level = paired.difference, terms.case_level
    low, high = difference.interval()
    p = min(paired.p_loss, paired.p_gain)
    units = f", {paired.units} units" if paired.units != difference.n else ""
    shift = None if paired.best is None else paired.best.shift
    loss = detectable(difference, terms.margin, level, shift=shift)
    return (
        f"95 % [{signed_points(low)}, {signed_points(high)}], p = {p:.2g} {'<' if p < level else '≥'} "
        f"{level_words(terms)}, {difference.n} {word}{units}, {paired.changed} changed, "
        f"could detect {signed_points(-loss)}"
    )


def level_words(terms: Terms) -> str:
    """Return the level that p has to be below, with the number of cases that share it: ``0.025/41``."""
    alpha = terms.case_level * terms.gated
    return f"{alpha:g}" + (f"/{terms.gated}" if terms.gated > 1 else "")
