//! Tests over the whole workspace live in `it/`.
