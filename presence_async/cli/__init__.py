"""How people use it from a shell: one file for each command.

``options`` holds what commands have in common, ``output`` how they print, ``running``
how they run and with which exit code they end. ``app`` registers the commands.
"""
