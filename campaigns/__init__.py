"""What is written: campaigns, their runs, and every single message on its way to the gateway."""
