"""Test images spoilt in eleven ways and digits of other writers: what the README's table of robustness is judged on."""
