"""Build, talk to and emulate devices."""
