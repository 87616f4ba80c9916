"""Train a network by a recipe: data, step, loop, run folder, resume, queue, doctor."""
