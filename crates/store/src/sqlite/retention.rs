//! Where to look for ended jobs that are kept no longer.
//!
//! `ended` is keyed by the job's integer and has no index on when a job ended.
//! Instead, of each block of ids it is noted when the oldest end in it was. Jobs
//! end roughly in the order of their ids, so that note is written once for some
//! thousands of ends, and a look at it finds the blocks that hold old ones.

/// How many ids are in a block, as a power of two.
const BITS: u32 = 12;

/// The block that an id is in.
pub(super) fn block(id: i64) -> i64 {
    id >> BITS
}

/// The first and the last id of a block.
pub(super) fn ids(block: i64) -> (i64, i64) {
    (block << BITS, (block << BITS) + (1 << BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_in_one_block() {
        for id in [1, 4_095, 4_096, 4_097, 1 << 40] {
            let (first, last) = ids(block(id));
            assert!((first..=last).contains(&id));
        }
        assert_eq!(ids(1), (4_096, 8_191));
        assert_eq!(block(4_095), 0);
    }
}
