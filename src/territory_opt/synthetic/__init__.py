"""Made-up companies, for trying things on."""
