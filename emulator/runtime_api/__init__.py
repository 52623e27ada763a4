"""What the inside of an environment talks to: the Lambda Runtime API, version 2018-06-01."""
