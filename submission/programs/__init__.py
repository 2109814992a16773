"""Programs of workspaces: prepared before they run, heard while they run, kept as versions afterwards."""
