"""Automatic checks of organised stems: what to listen to first, where, and why.

`run.check_dataset` reads every stem of an organised dataset block by block and gives `findings.Finding` objects, worst
first. A check proposes; only a human marks: findings are written to ``checks.yaml`` beside the tracks and never touch
the mark files of `splitstrument.datasets.marks`.

=============  =====================================================================================================
missing        the class has no file, or a file that cannot be read
inaudible      less than half a second above -50 dBFS in blocks of 10 ms (the thesis's limit of silence)
low_level      audible, but even the loudest second is far below the level of a recording
clipping       samples pile up at the peak: hard, re-scaled or softly saturated (`clipping`)
dc             the mean is not zero
wrong_length   the stem ends long before or after the others of its track, or has another sample rate
duplicate      the same audio as another stem, also shifted, inverted or at another level (`duplicates`)
not_in_mix     the stems do not sum to the track's mix (`sums`)
bleed          another class is heard in the stem (`bleed`)
mislabelled    the stem sounds like another instrument than its class (`splitstrument.recognition.content`)
=============  =====================================================================================================
"""
