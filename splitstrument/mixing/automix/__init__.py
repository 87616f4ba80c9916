"""An automatic mix of a lead and its backing by rules: measure, decide, mix; every rule a line in the report."""
