"""Predict: sources of images in, one row per image out."""
