"""How one request goes: what ``pipeline`` and ``transport`` are made of."""
