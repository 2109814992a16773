"""What travels between processes of the engine on one machine: messages over UNIX sockets."""
