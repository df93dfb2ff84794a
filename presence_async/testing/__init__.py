"""How users test: the virtual-time loop and the leak check."""
