"""How users test."""
