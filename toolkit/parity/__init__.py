"""Do all engines give the reference's answers, within what rounding explains?"""
