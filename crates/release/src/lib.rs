//! The tree of releases: how one is made, switched to, proven unused and removed.
