"""Hearing of others: polls shared by all streams and rosters of a client."""
