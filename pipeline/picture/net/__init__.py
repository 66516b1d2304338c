"""Networks for pictures, and the random changes of their input."""
