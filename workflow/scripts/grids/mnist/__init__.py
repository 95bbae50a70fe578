"""The image benchmark of the paper's supplement: which pixels make a digit an 8 rather than a 3?"""
