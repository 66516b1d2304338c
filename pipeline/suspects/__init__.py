"""What a person should look at again: wrong labels, outliers, poor items, look-alikes."""
