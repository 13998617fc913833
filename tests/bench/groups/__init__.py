"""One module a group of figures."""
