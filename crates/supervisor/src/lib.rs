//! Processes and their generations: started, found ready, replaced, drained, restarted, ended.
