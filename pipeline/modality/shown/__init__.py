"""What people and programs get of items: tiles, reports, explanations, exports."""
