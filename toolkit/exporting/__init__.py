"""From a run to the file that leaves the house: spec, card, golden vectors, bound, proof."""
