"""The command line: one file for each command.

``options`` holds the options that several commands share, ``output`` prints, and
``running`` runs a command and chooses its exit code. ``app`` registers the commands.
"""
