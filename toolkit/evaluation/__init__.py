"""How good a run or a model is, with an interval; whether a file still gives its recorded answers."""
