"""Things going out: requests built per kind of destination, sent through one door, tried again."""
