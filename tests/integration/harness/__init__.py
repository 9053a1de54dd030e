"""What the integration tests talk to the gateway with: real sockets, a real redis-server."""
