"""Builds everything from Settings: the only place where parts meet, and where the clock is read.

What a process does not do is not even imported: one that only records holds no pages in its memory.
So import from the module that builds what is needed.
"""
