"""Training pictures that stay on the device, and their augmentation there."""
