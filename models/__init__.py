"""Features to scores and forecasts: River models and small estimators. No Bytewax, no I/O, no clock."""
