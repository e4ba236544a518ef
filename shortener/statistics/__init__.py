"""Statistics: what a click is counted as, where counts are kept, and how they are asked about."""
