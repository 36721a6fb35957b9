"""Every number that steers linear programs and branch and bound; see :mod:`territory_opt.optimize.settings`."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class LumpSettings:
    """A start by branch and bound over the large accounts alone."""

    nodes: int = 6_000
    """Above so many nodes no single one decides much, and the model would be large."""
    share: float = 0.05
    """An account is a lump from this share of an average territory on; ..."""
    most: int = 100
    """... where more of them are, no few decide."""
    width: int = 20
    """Reps of a lump, best by reduced value, ..."""
    small_width: int = 3
    """... and of any other account."""
    gap: float = 3e-4
    """Gap of branch and bound, ..."""
    tree: int = 30
    """... and its nodes."""
    share_of_time: float = 0.25
    """Of the time left, this share at most."""


@dataclass(frozen=True, slots=True)
class Wave:
    """One wave of relax and fix."""

    per_rep: float
    """Accounts placed per rep, ..."""
    within: float
    """... on pairs that lose at most so many times the median loss of a node's second-best rep; ..."""
    gap: float
    """... the gap of branch and bound."""


@dataclass(frozen=True, slots=True)
class RelaxSettings:
    """Relax and fix: large accounts first, all others shared."""

    most_nodes: int = 150_000
    """Above so many nodes the linear program of everyone takes too long."""
    least_nodes_alone: int = 6_000
    """Of territories alone, smaller problems do better by their lumps and a longer search (heavy, 5,000 x 50: 0.07 to
    0.16 % instead of 0.12 to 0.36 %), ..."""
    most_nodes_alone: int = 50_000
    """... larger ones take too long, ..."""
    large: float = 0.05
    """... and few accounts decide nothing in those with fewer accounts from this share of a territory on ..."""
    large_per_rep: float = 0.5
    """... than so many per rep. A market with few (counties, 10,000 x 100): 0.18 % instead of 0.11 %; with many (heavy,
    the same size): 0.24 to 0.28 % instead of 0.30 to 0.67 %."""
    share: float = 0.01
    """An account is worth placing from this share of an average territory on."""
    waves: tuple[Wave, ...] = (Wave(3.0, 6.0, 1e-2), Wave(6.0, 3.0, 5e-3))
    """From the largest accounts on. A gap of half as much finds the same plans (field team, seeds 0 and 1) in twice the
    time, one of twice as much worse ones."""
    waves_alone: tuple[Wave, ...] = (Wave(6.0, 6.0, 5e-3), Wave(10.0, 3.0, 2e-3))
    """The same for territories alone."""
    width: int = 20
    """Reps of a large account, best by reduced value."""
    large_pairs: int = 1_500
    """Pairs of large accounts in one model that are open whatever they lose, shared out equally; none where all reps
    are in one model, which finds as good a plan without them in a third of the time."""
    small_width: int = 6
    """Reps that a small account may be shared among in the program of everyone; ..."""
    small_within: float = 1.0
    """... in a model those that lose at most so many times the median loss of a node's second-best rep."""
    hard_factor: float = 3.0
    """Breaking a hard row costs so many times the largest multiplier of its rule."""
    window: int = 40
    """Reps at most in one model, ..."""
    core: int = 15
    """... of which, where there are more, so many have their accounts placed."""
    window_alone: int = 20
    """Both for territories alone ..."""
    core_alone: int = 10
    """... where windows half as large do as well in two thirds of the time (heavy, 10,000 x 100, three seeds: 0.23 to
    0.32 % instead of 0.33 to 0.41 %). With quotas they do not (10,000 x 100: 3.4 and 4.1 % instead of 2.8 %)."""
    tree: int = 20
    """Nodes of branch and bound."""
    seconds: float = 60.0
    """Safety only: nodes and gap end a model."""
    least_seconds: float = 1.0
    """With less time left nothing is begun."""

    def alone(self) -> RelaxSettings:
        """Return the settings for territories alone."""
        return replace(self, waves=self.waves_alone, window=self.window_alone, core=self.core_alone)


@dataclass(frozen=True, slots=True)
class PolishSettings:
    """Exact models over a few neighbouring reps."""

    most_nodes: int = 5_000
    """Above this many nodes a neighbourhood's model would cost more than it finds, ..."""
    most_nodes_with_quotas: int = 30_000
    """... where quotas are set, above so many."""
    width: int = 6
    """Reps per node in the models, best by reduced value."""
    side_by_side: int = 2
    """Models solved at a time; fixed, so that the plan does not depend on the machine."""
    rounds: tuple[tuple[int, float], ...] = ((2, 1.5), (3, 0.2))
    """Size of the neighbourhoods in reps, and how many of them per rep: small ones pay most per second."""
    rounds_with_quotas: tuple[tuple[int, float], ...] = ((2, 0.5), (3, 1.0), (4, 0.7))
    """The same where quotas are set: among two reps little is left to gain."""
    few_nodes: int = 1_000
    """Where quotas are set for up to so many nodes, there follow ..."""
    deep_rounds: tuple[tuple[int, float], ...] = ((4, 1.0), (5, 1.0))
    """... such rounds ..."""
    deep_tree: int = 500
    """... of so many nodes of branch and bound, ..."""
    deep_width: int = 10
    """... and so many reps per node: 500 x 10 gains 0.01 to 0.16 % in two to five seconds."""
    most_neighbourhoods: int = 60
    """Neighbourhoods of one size at most."""
    tree: int = 30
    """Nodes of each branch and bound, ..."""
    gap: float = 1e-5
    """... and its gap."""
    gain: float = 1e-9
    """Share of the plan's worth below which a gain is rounding."""
    mend_factor: float = 2.0
    """Price of a broken hard row against the largest multiplier of its rule."""
    seconds: float = 60.0
    """Safety only: the nodes end a neighbourhood."""
    least_seconds: float = 1.0
    """With less time left nothing is begun."""

    def deeper(self) -> PolishSettings:
        """Return the settings of the deep rounds."""
        return replace(self, rounds_with_quotas=self.deep_rounds, tree=self.deep_tree, width=self.deep_width)


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """Branch and bound over every pair that could still be in a better plan."""

    pairs: int = 6_000
    """Up to so many open pairs, of nodes that still have a choice, go to branch and bound as a whole; ..."""
    mend_pairs: int = 20_000
    """... so many while hard rules are broken."""
    most_cells: int = 200_000
    """Above so many nodes x reps nobody looks how many are still open."""
    tree: int = 200
    """Nodes of branch and bound."""
    mend_gap: float = 0.01
    """Gap while hard rules are broken: any plan that keeps them is welcome."""
    seconds: float = 60.0
    """At most so long."""
    least_seconds: float = 1.0
    """With less time left nothing is begun."""


@dataclass(frozen=True, slots=True)
class QuotaSettings:
    """Quotas for fixed territories."""

    tied_steps: int = 1_000
    """Leftover steps per rep that are still taken for rounding noise of the solver."""
    few_reps: int = 12
    """Up to so many reps the rounding of one is worth ..."""
    few_tree: int = 20_000
    """... so many nodes of branch and bound; ..."""
    tree: int = 200
    """... for many reps it is worth cents and is settled early."""
    even_shares: tuple[float, ...] = (0.0, *(0.0005 * 1.4**k for k in range(20)))
    """Distances from a fair quota, as shares of it, beyond each of which the next money costs a little more."""
    even_price: float = 1e-6
    """That little, per money: no real price is given up for evenness."""
    most_evened: int = 100
    """Reps up to which whole steps, too, stay as near to the continuous quotas as the rules let them; beyond, each is
    within two steps anyway, and ten seconds are worth more."""
    far_above: float = 1.5
    """A quota so many times the fair one is worth a word; ..."""
    most_named: int = 3
    """... so many are named, the worst ones."""
    seconds: float = 20.0
    """Safety limit of one quota model; it has one variable per rep and is solved at the root."""
    kept: float = 1e-3
    """A row holds if it is off by no more than this share of a step, ..."""
    rounding: float = 1e-9
    """... or this share of its scale; the same share of a step is rounding."""
    gap: float = 1e-9
    """Of branch and bound."""
    least_share: float = 1e-6
    """The second program may break hard rules by this share more than the least, ..."""
    least_more: float = 1e-9
    """... and by this much, in scales: the solver's tolerance."""


@dataclass(frozen=True, slots=True)
class SolverSettings:
    """How OR-Tools' solvers are called."""

    look: float = 0.05
    """Seconds after which somebody looks whether the work is to end."""
    grace: float = 0.2
    """Seconds that a solver is waited for when it is to end."""
    least: float = 0.1
    """Seconds that any program gets: with none it would return nothing at all."""


LUMPS, RELAX, POLISH, CORE = LumpSettings(), RelaxSettings(), PolishSettings(), CoreSettings()
"""As they are unless others are handed in."""
QUOTAS, SOLVERS = QuotaSettings(), SolverSettings()
"""Those that cannot be handed in."""
