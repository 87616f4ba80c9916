"""Which instruments play in a song, and when: features, a network that ships, timelines, and how it is trained."""
