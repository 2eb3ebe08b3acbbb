"""What runs a network: engines, threads, memory."""
