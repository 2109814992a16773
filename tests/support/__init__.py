"""What tests share: samples, doubles, and the service in a process of its own."""
