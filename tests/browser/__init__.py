"""The dashboard as people see it: in the system's Chromium.  `make test-browser` runs these."""
