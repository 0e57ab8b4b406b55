"""Clients of the dialects, a module for each."""
