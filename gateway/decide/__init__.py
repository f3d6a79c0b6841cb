"""What is decided: pure functions from facts and policy to a decision with reasons."""
