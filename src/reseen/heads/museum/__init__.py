"""The networks of the museum paper: classifier, fully convolutional network, regions."""
