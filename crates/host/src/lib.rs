//! What is true of a machine: its processes, and what they run.
