"""An asyncio-native client for the PubNub Presence API, and a harness to test with."""
