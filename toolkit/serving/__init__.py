"""Inference over a network: the Open Inference Protocol v2, a batcher, engines in processes of their own."""
