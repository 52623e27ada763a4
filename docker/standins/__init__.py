"""Building stand-in images; docker/build-images is the command."""
