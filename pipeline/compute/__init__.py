"""Where work runs: the device, worker processes, and what is made ahead."""
