"""Ways to send messages to devices: a port, its adapter for MQTT, and its twin in memory."""
