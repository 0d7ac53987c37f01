//! What the tests of Caddis share.
