"""The vehicle's end of the wire: sensors (simulated), crash detector, store and forward, MQTT; and the fleet simulator."""
