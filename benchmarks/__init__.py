"""Speed and quality of territory-opt on a fixed list of problems; see README.md for the protocol."""
