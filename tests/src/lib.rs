//! Black-box tests of the whole fleet live in `tests/`; this library holds what they share.
