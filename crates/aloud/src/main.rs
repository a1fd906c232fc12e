//! aloud
fn main() {}
