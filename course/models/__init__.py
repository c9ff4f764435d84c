"""Models: plain and readable, one module per idea."""
