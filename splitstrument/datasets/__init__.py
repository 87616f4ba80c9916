"""From loose stems to instrument/rest pairs: sources, organise, mix, silence, recipes and their build."""
