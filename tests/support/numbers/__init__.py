"""A toy modality: an item is a text file of comma separated numbers, `.vec`."""
