"""Reports of evaluations: HTML with pictures and sounds, Markdown and CSV."""
