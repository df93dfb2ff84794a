"""How a client speaks to the register that it shares with other processes.

``RegisterLoop`` has the task: it sleeps until there is something to say, and goes on
after failures. ``RegisterPace``, which is pure, says when that is. ``RegisterExchange``
carries what the engine wants said and asked to the register, and the answers back; each
call of it has the time limit and the failures of ``register_call``.
"""
