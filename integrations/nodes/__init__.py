"""Three nodes of Keyward behind HAProxy, and what may happen to them."""
