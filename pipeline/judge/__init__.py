"""What a model is worth: metrics, curves, calibration."""
