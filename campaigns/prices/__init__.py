"""Prices of messages: tariffs, estimates, and the pages where administrators enter them."""
