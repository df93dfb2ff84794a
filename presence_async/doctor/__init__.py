"""What is this keyset? Probes that measure one, and judge what they find.

``examination`` has the table of probes and runs them, each on a ``Subject``: a keyset,
reached by a ``Wire``, with throw-away users and a ``Sight`` of the channel they are on.
``reach``, ``keys``, ``rights`` and ``tracking`` ask what a newcomer gets wrong;
``timing``, ``timeouts``, ``caches`` and ``crowd`` measure how the service behaves, each
figure between ``Bounds``. A probe returns a ``Finding``, or raises ``UnclearError`` if
it saw too little; findings make a ``Report``, and that an ``EmulatorProfile``.
``comparison`` says where two reports differ.
"""
