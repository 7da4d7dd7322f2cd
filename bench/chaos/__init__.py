"""The crash harness: the whole system under load, attacked by a seeded plan, then compared with an undisturbed run over the same log."""
