"""The demo's parts: the reviews, the simulated people, the product's server, the story."""
