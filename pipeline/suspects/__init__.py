"""What a person should look at again: wrong labels, outliers, poor pictures, look-alikes."""
