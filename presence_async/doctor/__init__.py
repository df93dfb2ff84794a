"""What is this keyset? Probes that measure one, and judge what they find.

``examination`` has the table of probes and runs them, each on a ``Subject``: a keyset,
reached by a ``Wire``, with throw-away users and a ``Sight`` of the channel they are on.
``reach``, ``keys``, ``rights`` and ``tracking`` ask what a newcomer gets wrong;
``timing``, ``caches`` and ``crowd`` measure how the service behaves. A probe returns
``Finding`` values, which make a ``Report``, and that an ``EmulatorProfile``.
``comparison`` says where two reports differ.
"""
