"""After the separation: effects, and later rules and mixes that use them."""
