"""A corpus of music with separate stems that anyone can make: from MIDI songs and generated charts to pairs.

The order of the rooms, each of which knows only those before it::

    draws, midi                      seeded randomness; scores as notes in seconds
    songs, charts, mma, parts        where scores come from: game music, generated chord charts, parts of our own
    soundfonts, patches, plucked, voices, strums, drumkits, speech, singing   how one part becomes sound
    partials, guitars, guitar_playing, pianos, electric_pianos, modelled   the same by instruments of our own
    effects, amplifiers, stereo, mixdown, codec   what happens to a sound in a studio and after it
    recipe, phrase_list, catalogue, arrange, phrases, guests, heavy    what to render, and who plays it
    set_stems, track, corpus, passport          render one song; render all; check that nothing leaked

Audio is float32 (n_samples, n_channels) as everywhere.
"""
