"""One file a scenario; each has `run(options, report)`. The names are those of the command line."""
