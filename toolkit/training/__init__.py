"""From a data set and a recipe to a run folder."""
