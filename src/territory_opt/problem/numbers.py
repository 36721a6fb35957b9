"""Numbers that all stages share: what counts as the same money, what keeps a fraction finite, and the like."""

HALF_CENT = 0.005
"""Sums of money that differ by less are the same: amounts are written in whole cents."""
CENT = 0.01
"""The smallest amount of money that is written, and the finest step of quotas."""
TINY = 1e-12
"""Stands for zero under a fraction: far below any amount, length or share that means something."""
ROUNDING = 1e-9
"""Relative error that sums of floating-point numbers may show: far above the last digit, far below anything told."""
SAME_FACTOR_DIGITS = 12
"""Factors that agree to so many decimals are the same: they are products of a few hedges."""
MONTHS_PER_YEAR = 12
RANGE_80 = 1.2815515655446004
"""Standard deviations to either side that hold 80 % of a normal distribution: its 90 % quantile."""
