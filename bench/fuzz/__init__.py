"""Bad input at volume: seeds, mutations, memory with guard pages, the references, and the process that plays them against the decoders."""
