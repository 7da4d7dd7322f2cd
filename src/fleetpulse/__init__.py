"""The umbrella package: one relative link per folder at the root of the repository (why: docs/architecture.md)."""

__version__ = "0.1.0"
