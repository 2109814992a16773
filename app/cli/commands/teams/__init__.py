"""Commands about a team's own programs."""
