"""What every layer uses: settings, errors, stored documents, artifacts, processes."""
