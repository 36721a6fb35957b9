"""What came out, and its judge, which knows no solver: figures, odds, audit, certificate, plan folder."""
