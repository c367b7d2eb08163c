"""Pure rules: no input or output, no clock, no framework. `now` is always an argument."""
