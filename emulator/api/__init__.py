"""The HTTP doors: AWS's own Lambda API, and the inspection API."""
