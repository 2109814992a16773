"""Programs of workspaces over HTTP: for people, and for the launchers that run them."""
