"""Ray Serve carries out: a gateway that alone speaks with Ray, replicas, and what the service asks."""
