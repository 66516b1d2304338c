"""Versions at work behind the server: started, warmed up, fed in batches."""
