//! Black-box tests of the whole fleet, and of the shape of the house. There is nothing to build here: see `tests/`.
