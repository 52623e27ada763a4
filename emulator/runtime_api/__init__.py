"""What the inside of an environment talks to: the Runtime API, the Extensions API and what belongs to them."""
