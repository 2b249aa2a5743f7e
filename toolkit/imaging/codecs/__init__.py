"""Decoders of our own around Pillow's: of formats whose reader there warns, prints or trusts a header."""
