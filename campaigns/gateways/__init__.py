"""The languages of gateways, by kind. A new one is a file beside these and a line in `campaigns/connections.py`."""
