"""How right forecasts were, once runs have ended, and when a model has drifted away from what runs do."""
