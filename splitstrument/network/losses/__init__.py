"""Training losses, one family a file; `registry` names them all."""
