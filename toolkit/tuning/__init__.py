"""Searches and learning curves: many small trainings, judged on images held out of the training split."""
