"""Inputs of any model, made from what its graph says of them."""
