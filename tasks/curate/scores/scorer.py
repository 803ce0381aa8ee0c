"""What looks at a finished clip, frame after frame, while `measure.py` decodes it once.

The answer of a scorer is an `Update` with the columns of the clip and the series for later
steps, and rows of manifests. A score that cannot be had is left out.
"""

import hashlib

from vexpress.schemas.keypoints import ClipKps
from vexpress.tasks.engine.shared_decode import Scorer
from vexpress.tasks.engine.units import Candidate


class ClipScorer(Scorer[Candidate, ClipKps]):
    """Base of scorers of clips; `begin` is told the points in pixels of the pictures."""

    def key(self, row: Candidate) -> str:
        """Return the ledger key: the clip, the points on it, and all that looks at it."""
        points = hashlib.blake2b(row.points.tobytes(), digest_size=8).hexdigest()
        return self.make_key(row.clip.clip_id, points)
