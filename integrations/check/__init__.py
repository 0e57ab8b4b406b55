"""Proves the gateway recipes beside this folder against a running Keyward; see ../check.py."""
