//! Directories by descriptor.
