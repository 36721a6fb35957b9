"""Every number that steers a solve, by strategy: frozen, named, each with what chose it.

Work is counted in steps, nodes and rounds, not in seconds: seconds are safety limits only. Figures are those of
``benchmarks/results`` unless a line says otherwise: ``0.1.0-steering.md`` there shows what half and twice of most
numbers do (``python -m benchmarks.steering``). It says how much hangs on a number, not that no other is better.
"""

from __future__ import annotations

from dataclasses import dataclass

from territory_opt.optimize.mip.settings import (
    CORE,
    LUMPS,
    POLISH,
    RELAX,
    CoreSettings,
    LumpSettings,
    PolishSettings,
    RelaxSettings,
)

ABOVE_ZERO = 1e-300
"""Keeps divisors above zero."""


@dataclass(frozen=True, slots=True)
class SolveSettings:
    """The story of a solve as a whole."""

    exact_pairs: int = 400
    """Up to this many eligible pairs the whole model goes to branch and bound."""
    kappa_tolerance: float = 1e-3
    """Kappa is stable when the plan's own fair share differs by less than this."""
    kappa_rounds: int = 4
    """Kappa is fixed anew at most so often."""
    claim_tolerance: float = 2e-6
    """A solver may break a row by about this share of its scale: the best plan may miss its claim by as much."""
    helpful_gap: float = 0.01
    """Where the search after an edit ends farther from its bound, the previous plan was no help: all runs anew."""
    helpful_gap_with_quotas: float = 0.05
    """The same where quotas are set."""
    cells_per_pair: int = 50
    """Nodes x reps beyond so many times the pairs of the exact method are not even counted."""
    threads: int = 2
    """Unless the caller says otherwise. Results do not depend on it; two cores are what a small machine has."""


@dataclass(frozen=True, slots=True)
class CeilingSettings:
    """Largest multipliers of hard rows, which have no price: they keep the ascent of clashing rules finite."""

    hard: float = 200.0
    """So many times what an average rep's nodes are worth and its priced rows cost per full scale, per full scale."""
    company_wide: float = 10.0
    """So many times more for a row over all reps: a budget of a few moves may be worth far more per move."""
    farthest: float = 4.0
    """Or this many times what such nodes lose with the worst rep of all, if that is more."""
    farthest_nodes: int = 256
    """Nodes of the sample that says what is lost with the worst rep."""
    per_money: float = 100.0
    """On quotas: in units of the largest price on quotas, as both are money per money."""


@dataclass(frozen=True, slots=True)
class ProgramSettings:
    """The linear program that finds the first multipliers (of quotas and company-wide rules at any size)."""

    nodes: int = 6_000
    """Nodes at most: a larger problem is represented by a sample."""
    per_rep: int = 20
    """A sample for company-wide rules has at least so many nodes of each rep, else the ascent starts from its own."""
    width: int = 8
    """Best reps of each node at first."""
    new: int = 3
    """Best reps added to each node after every round (column generation)."""
    rounds: int = 6
    """Rounds of column generation at most."""
    share_of_time: float = 1 / 3
    """Of the time left, this share at most."""
    least_seconds: float = 5.0
    """The program of a small problem gets at least this long: a plan without a bound is worth little."""


@dataclass(frozen=True, slots=True)
class AscentSettings:
    """The smoothed dual over all eligible pairs."""

    width: int = 10
    """Reps per node taken into a list at every rebuild, by value alone and by reduced value."""
    hottest: float = 1.0
    """First temperature, in units of the mean loss between a node's best and third rep."""
    coolest: float = 1 / 2048
    """Last temperature in the same units."""
    more_stages: int = 3
    """Beyond the last temperature it falls on, so many times at most, ..."""
    worthwhile: float = 5e-5
    """... while that improves the bound by this share."""
    even: float = 3e-5
    """A start keeps its place only if it is better by this share: it may be a corner, and the search does better from
    multipliers in the middle of those that are as good."""
    warm: float = 1 / 32
    """First temperature from the multipliers of a sample, and of a proof that rules clash; see also :class:`Course`."""
    coarse_warm: float = 1 / 128
    """Last temperature of a sample, whose multipliers are then the start."""
    steps_hot: int = 40
    """L-BFGS iterations at the first temperature."""
    steps_cold: int = 120
    """L-BFGS iterations at the last one."""
    settled: float = 2e-6
    """Two temperatures in a row that improve the bound by less than this share end the ascent."""
    coarse_nodes: int = 20_000
    """A large problem starts from the multipliers of a sample of this many nodes, ..."""
    coarse_from: float = 3.0
    """... if it is so many times as large, ..."""
    coarse_per_rep: int = 40
    """... but of so many for each rep at least."""
    large_share: float = 0.02
    """Nodes larger than this share of a rep's limits are all in the sample."""
    null_steps: int = 4
    """A temperature starts again at most so often, ..."""
    too_far: float = 1e-3
    """... when the bound gets worse by this share of what is at stake."""
    on_the_way: float = 8.0
    """Pairs take part in the descent at a temperature if they have weight at this many times the temperature."""
    faded: float = 40.0
    """A listed rep that is this many temperatures behind the best has no weight left (e^-40 is less than what a float
    can add to 1) and is dropped."""
    smallest: float = 0.02
    """A node's size, which its temperature is in proportion to, is at least so many times the mean, ..."""
    largest: float = 50.0
    """... and at most so many."""
    sized_by: int = 3
    """Best reps by value of a node that say what is at stake there."""
    soft_quotas: float = 0.05
    """Weight of the proximal term on quotas, in temperatures."""
    memory: int = 20
    """Pairs of steps and slopes that L-BFGS remembers, ..."""
    flat: float = 1e-10
    """... share of the bound below which a step is none, ..."""
    level: float = 1e-9
    """... and slope, in money per rep, below which it ends."""
    too_far_promise: float = 0.5
    """The bound got worse on the way, not on the lists, if these promised at most this share of the loss."""

    def lbfgs(self, steps: int) -> dict[str, float]:
        """Options of SciPy's L-BFGS-B for so many iterations."""
        return {"maxiter": steps, "maxfun": 2 * steps, "maxcor": self.memory, "ftol": self.flat, "gtol": self.level}


@dataclass(frozen=True, slots=True)
class ClashSettings:
    """The proof that hard rules cannot all hold, and what could give."""

    tolerance: float = 1e-7
    """Less proven violation than this, in scales, is rounding."""
    least_seconds: float = 10.0
    """That rules clash is worth proving even when the time is up."""
    check_seconds: float = 3.0
    """For each rule: may it alone give?"""
    most_named: int = 3
    """Accounts named that alone are too large for any rep."""
    gap: float = 1e-9
    """Of branch and bound for the least violation, ..."""
    check_gap: float = 1e-6
    """... and for one rule that may give."""
    least_share: float = 1e-6
    """The best plan with the least violation may break rules by this share more, ..."""
    least_more: float = 1e-7
    """... and by this much, in scales: the solver's tolerance."""


@dataclass(frozen=True, slots=True)
class CasesSettings:
    """The proof by cases."""

    most_cells: int = 200_000
    """Above so many nodes x reps no few accounts decide."""
    width: int = 3
    """The programs have so many best reps of each account, ..."""
    within: float = 0.03
    """... and others that lose at most this share of the distance to the plan, ..."""
    per_node: int = 5
    """... so many per account at most; what they lack is added when it is missed. Field team: 9,800 pairs instead of
    32,600, a third of the time, the same bound."""
    most_programs: int = 600
    """Linear programs at most; times their pairs see :class:`Course`."""
    patience: int = 30
    """After so many programs, ..."""
    patient_work: int = 100_000
    """... and so many times their pairs, ..."""
    worthwhile: float = 0.05
    """... that closed less than this share of the distance to the plan, no more questions are asked."""
    most_asked: int = 2_000
    """Pairs of the largest accounts whose x is read."""
    split: float = 1e-6
    """An account is split if a pair of it is at least so far from 0 and 1."""
    missed: float = 0.1
    """Pairs that the program lacks are added where they cost a case more than this share of its distance."""
    hard_times: float = 1e6
    """Breaking a hard row by its scale costs the programs so many times the distance to the plan (by the audit's
    tolerance as much as that), ..."""
    dearer: float = 10.0
    """... and besides so many times the most that any row's scale is worth: else breaking it would be cheaper than the
    priced rows it stands against."""
    same_money: float = 5e-7
    """The plan is proven best when the bound is within this share of it."""


@dataclass(frozen=True, slots=True)
class CutSettings:
    """Rounding cuts, before any question is asked."""

    most_cells: int = 2_000_000
    """Above so many nodes x reps the linear programs of everyone take too long."""
    rounds: int = 12
    """Programs at most, with new cuts after each; ..."""
    worthwhile: float = 0.02
    """... fewer where one closed less than this share of the distance to the plan."""
    per_rep: int = 6
    """Cuts of one rep that a round adds at most, the deepest."""
    split: float = 1e-6
    """An account is split if a pair of it is at least so far from 0 and 1."""
    least_depth: float = 1e-3
    """A cut is worth its row in a program if it is broken by so much, for coefficients of length 1."""
    least_room: float = 0.01
    """What 1 - f may be at least, ..."""
    most_room: float = 0.999
    """... and at most: near 1 a cut says no more than its rows."""
    least_divisor: float = 1e-3
    """Divisors below this share of the largest amount make a cut of many small steps: the row itself, nearly."""
    divisor_parts: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    """The best divisor is tried whole and in parts."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rounds of search."""

    rounds: int = 12
    """Rounds with exchanges between two reps."""
    threes: int = 3
    """Rounds after them that exchange among three as well."""
    hot: float = 1.0
    """Temperature of the first round, in units of the median loss of a node's second-best rep."""
    warm: float = 0.01
    """Temperature of the last round."""
    steps: int = 50
    """Steps of one round per free node."""
    still_good: float | None = None
    """A node starts with its rep of the last plan where that loses at most so many units, else from the first start."""


@dataclass(frozen=True, slots=True)
class Course:
    """How thorough a solve is."""

    schedule: Schedule = Schedule()
    """Rounds of search."""
    warm: float = 1 / 32
    """First temperature of the ascent where multipliers are known."""
    case_work: int = 2_000_000
    """Linear programs times their pairs of a proof by cases."""
    thorough: bool = True
    """Whether large accounts are placed, reps polished and what is open searched by branch and bound, whether long
    annealings come first where rules are hard, and whether pairs are looked at again to drop them or take them in."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Moves and exchanges in groups of reps."""

    first_width: int = 8
    """Reps per node in the first round, ..."""
    most_width: int = 20
    """... and at most once a plan says which pairs are still open."""
    hard_factor: float = 1.05
    """A hard row starts at this multiple of its rule's largest multiplier, ..."""
    dearer: float = 1.2
    """... and gets dearer after each round it is broken: prices no higher than they must be leave room to move."""
    group: int = 20
    """Reps that are searched together."""
    threes_nodes: int = 30_000
    """Up to this many nodes there are rounds with exchanges among three reps."""
    cold: float = 0.02
    """How far the temperature falls inside a round."""
    broken_hot: float = 3.0
    """Temperature while hard rules are broken and the annealing has to mend them, ..."""
    broken_steps: int = 300
    """... and steps per free node."""
    rugged_nodes: int = 5_000
    """Up to this many nodes, hard rules or quotas call for long annealings first: ..."""
    rugged_rounds: int = 12
    """... so many, ..."""
    rugged_steps: int = 1_000
    """... of so many steps per node, ..."""
    rugged_hot: float = 5.0
    """... the first at this temperature, in units of the median loss of a candidate, ..."""
    rugged_warm: float = 1.0
    """... the last at this one."""
    opening_hot: float = 20.0
    """Before them, one annealing of all reps at once from each start: its first temperature, ..."""
    opening_cold: float = 0.0001
    """... and how far it falls."""
    retries: int = 8
    """The same again, at most so often, while hard rules are broken; ..."""
    dearer_again: float = 2.0
    """... each time they cost so many times more."""
    last_rounds: int = 3
    """Short rounds after the last of these."""
    sweeps: int = 5
    """Sweeps of exchanges at the end of a round."""
    rounding: float = 1e-9
    """A pair is left out only if it loses more than it may by this share: losses are sums of floats."""


@dataclass(frozen=True, slots=True)
class SettleSettings:
    """Annealing of the small accounts around the large ones."""

    steps: int = 3_000
    """Steps per node, ..."""
    most_steps: int = 10_000_000
    """... fewer where these would be more in all, ..."""
    least_steps: int = 200
    """... but so many at least."""
    hot: tuple[float, ...] = (0.1, 0.03)
    """First temperatures, in units of the median loss of a node's second-best rep: more undoes what was placed."""
    cold: float = 0.005
    """How far they fall."""
    after_edit: int = 6_000
    """On more nodes a plan from before an edit is settled, not searched in rounds, where quotas are set, ..."""
    brief_steps: int = 250
    """... with so many steps per node."""
    width: int = 8
    """Reps per node."""
    hard_factor: float = 1.05
    """A hard row costs this multiple of its rule's largest multiplier, ..."""
    dearer: float = 1.3
    """... so many times more each time it is still broken, ..."""
    retries: int = 6
    """... and that so often at most."""
    sweeps: int = 5
    """Sweeps of exchanges at the end."""


@dataclass(frozen=True, slots=True)
class InnerSettings:
    """The innermost loops. Compiled code reads them when it is compiled, so they cannot be handed in.

    Sums are added in units of these sizes, whatever the number of threads.
    """

    seed_step: int = 7_919
    """Seeds of two groups are so far apart, ..."""
    round_step: int = 104_729
    """... of two rounds so far, ..."""
    opening_step: int = 31
    """... of the same opening tried again so far: primes, so that they do not meet."""
    pricing_nodes: int = 2_048
    """Nodes of one unit of pricing."""
    pricing_cells: int = 8_192
    """Pairs that one step of pricing looks at: they stay in the cache, and what a call costs is shared by many."""
    ascent_nodes: int = 1_024
    """Nodes of one unit of the smoothed bound."""
    stop_steps: int = 16_384
    """Steps of an annealing after which it looks whether it is to stop."""
    by_chance: float = 0.3
    """Competing reps join a group by their pull times a number between this and 1."""
    chain: float = 0.5
    """Share of the moves in which the receiver passes a node of its own on: a swap, or a chain over three reps."""
    quench: float = 0.15
    """Share of the steps at the end in which only improvements are taken."""
    hard_jump: float = 0.01
    """Breaking a hard row at all costs as much as breaking it by this share of its scale."""
    flips: int = 48
    """Single flips of an exchange that are joined, least loss first, ..."""
    joins: int = 20_000
    """... and joined sets that are evaluated at most; the exchange goes by least loss and keeps the best so far."""
    gain: float = 1e-9
    """Money below which a gain is rounding."""
    tie: float = 1e-6
    """Losses below this share of what a pair is worth on average are rounding, or the tolerance of a solver's duals."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All of them."""

    solve: SolveSettings = SolveSettings()
    """The story as a whole."""
    ceiling: CeilingSettings = CeilingSettings()
    """What limits multipliers."""
    program: ProgramSettings = ProgramSettings()
    """First multipliers."""
    ascent: AscentSettings = AscentSettings()
    """The dual over all pairs."""
    clash: ClashSettings = ClashSettings()
    """Rules that cannot all hold."""
    cuts: CutSettings = CutSettings()
    """Rounding cuts."""
    cases: CasesSettings = CasesSettings()
    """The proof by cases."""
    search: SearchSettings = SearchSettings()
    """Moves and exchanges."""
    lumps: LumpSettings = LUMPS
    """Large accounts first."""
    relax: RelaxSettings = RELAX
    """Large accounts first where quotas are set."""
    settle: SettleSettings = SettleSettings()
    """Small accounts around them."""
    polish: PolishSettings = POLISH
    """Exact models over a few reps."""
    core: CoreSettings = CORE
    """What is still open, as a whole."""
    usual: Course = Course()
    """From scratch."""
    brief: Course = Course(
        Schedule(rounds=6, threes=0, hot=1.0, warm=0.1, steps=50, still_good=0.05),
        warm=1 / 128,
        case_work=200_000,
        thorough=False,
    )
    """After an edit, and where kappa has changed: a short search from the plan before where that is still good, and no
    long proofs."""


INNER = InnerSettings()
"""They cannot be handed in."""
