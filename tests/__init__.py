"""Mirrors the tree; `naive/` holds the obvious twins of kernels, `support/` what several tests share."""
