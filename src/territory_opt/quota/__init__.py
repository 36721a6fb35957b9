"""Quotas as promises: can the target hold, what they are split into, why each is what it is, how the year goes.

They are set together with territories, in ``optimize/mip/set_quotas.py``; what fair ones follow is in
``estimate/quota_basis.py``; the closed formulas of the odds are in ``plan/odds.py``, drawn years in
``quota/simulate.py``.
"""
