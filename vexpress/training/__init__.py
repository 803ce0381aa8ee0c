"""Three-stage training of V-Express: what is drawn, what is learned, what is kept.

Everything random in it is drawn from (seed, stage, number of the sample), never from the
state of a generator: a run that was killed and one that was not see the same numbers.
"""
