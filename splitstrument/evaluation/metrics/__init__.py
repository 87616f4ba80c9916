"""The metrics, each computed block by block, and the registry of their names, units and directions."""
