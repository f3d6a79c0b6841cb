"""What leaves: payloads rebuilt from what is allowed, and the proof that nothing denied is left."""
