"""Wrong and right backward passes, and how well `compare` tells them apart and says why."""
