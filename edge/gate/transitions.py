"""Every change of phase a lane may make, and why: the table the diagram in the docs is drawn from.

The machine does not read this table; a test holds it against what the machine really did in the world, both
ways: nothing outside the table happened, and every row of it did.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transition:
    before: str
    after: str
    why: str


TRANSITIONS: tuple[Transition, ...] = (
    Transition("Waking", "Free", "arm proven down, nobody here"),
    Transition("Waking", "Reading", "arm proven down, and somebody is here"),
    Transition("Waking", "Shut", "arm not proven down in its time, fire, or closed by the centre"),
    Transition("Free", "Reading", "somebody on the arrival loop or the scale: a passage opens"),
    Transition("Free", "Shut", "fire, the arm moved without an order, or closed by the centre"),
    Transition("Reading", "Holding", "ruled to hold, or to inspect on this side of the barrier"),
    Transition("Reading", "Consulting", "the site has the customs platform asked"),
    Transition("Reading", "Claiming", "ruled to pass; the hub is asked for the slips' uses"),
    Transition("Reading", "Raising", "ruled to pass without a claim: empty, offline policy, resumed uses"),
    Transition("Reading", "Free", "backed out before any order"),
    Transition("Reading", "Shut", "fire, the arm moved without an order, or closed by the centre"),
    Transition("Consulting", "Claiming", "the platform releases, or is silent and the lane's rules decide"),
    Transition("Consulting", "Raising", "the same, without a claim"),
    Transition("Consulting", "Holding", "the platform refuses, or is silent and the site holds"),
    Transition("Consulting", "Free", "backed out while the platform was asked"),
    Transition("Consulting", "Shut", "fire, the arm moved without an order, or closed by the centre"),
    Transition("Claiming", "Raising", "claim granted, or the written offline policy releases"),
    Transition("Claiming", "Holding", "claim refused, or unanswered and the policy holds"),
    Transition("Claiming", "Free", "backed out while the hub was asked; the claim is given back"),
    Transition("Claiming", "Shut", "fire, the arm moved without an order, or closed by the centre"),
    Transition("Raising", "Passing", "upper limit switch: the arm is up"),
    Transition("Raising", "Holding", "the transaction did not become durable: nothing moves"),
    Transition("Raising", "Shut", "the arm did not rise in its time, relay refused, or fire"),
    Transition("Passing", "Lowering", "crossed, or gone without crossing"),
    Transition("Passing", "Shut", "fire, or the arm moved without an order"),
    Transition("Lowering", "Free", "lower limit switch: the arm is down"),
    Transition("Lowering", "Reading", "arm down, and the next vehicle is already here"),
    Transition("Lowering", "Passing", "something under the falling arm, or the order was not taken"),
    Transition("Lowering", "Waking", "lowering for nobody was not taken: the arm is not known to be down"),
    Transition("Lowering", "Shut", "the arm did not come down in its time, fire, or closed by the centre"),
    Transition("Holding", "Free", "backed out"),
    Transition(
        "Holding",
        "Reading",
        "looked at again: what was missing has come",
    ),
    Transition(
        "Holding", "Raising", "released or led aside by hand: officers checked, by code or by command (S8)"
    ),
    Transition("Holding", "Shut", "fire, the arm moved without an order, or closed by the centre"),
    Transition("Shut", "Waking", "officer's reset, arm not yet proven down and not safe to lower"),
    Transition("Shut", "Free", "officer's reset, arm down, nobody here"),
    Transition("Shut", "Reading", "officer's reset, arm down, somebody here"),
    Transition("Shut", "Lowering", "officer's reset with the arm up and nothing under it"),
)

ALLOWED = frozenset((t.before, t.after) for t in TRANSITIONS)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> Waking: start, red, nothing moves"]
    lines += [
        f"    {t.before} --> {t.after}: {t.why.replace(':', ' –').replace(';', ',')}" for t in TRANSITIONS
    ]
    return "\n".join(lines)


def table() -> str:
    """The table as Markdown."""
    rows = ["| from | to | when |", "|---|---|---|"]
    rows += [f"| {t.before} | {t.after} | {t.why} |" for t in TRANSITIONS]
    return "\n".join(rows)
