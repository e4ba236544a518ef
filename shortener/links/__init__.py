"""Links: what they are, how they are made, found, listed and changed, and where a click leads."""
