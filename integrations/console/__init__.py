"""Walks through the console, by who walks."""
