"""Queries for pages: they read, never write, and cost the same however long the history is."""
