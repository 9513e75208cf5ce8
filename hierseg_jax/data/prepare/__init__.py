"""From a raw download to the folders and the data.yaml that training reads."""
