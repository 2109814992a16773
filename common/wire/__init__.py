"""What travels: specs and events, checked; no database."""
