"""Whether a new version serves: compared with the champion on runs that neither has seen."""
