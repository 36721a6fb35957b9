"""What to expect of each account: forecast, seasonality, growth, shared shocks, back-test."""
