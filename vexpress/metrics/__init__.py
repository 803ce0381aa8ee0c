"""How good a generated video is: pure functions of pictures, points and sound.

Each file measures one thing; `table.py` lists all numbers with unit, direction and version.
"""
