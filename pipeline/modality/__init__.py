"""What an item is: the modalities, and what each must offer."""
