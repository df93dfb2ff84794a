"""Being present: what ``heartbeat_manager`` and ``lease`` are made of.

``presence_desk`` joins and leaves, ``beating`` and ``beat_plan`` keep what lies
between.
"""
