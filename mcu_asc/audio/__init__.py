"""Sound: decode and resample, data sets, features."""
