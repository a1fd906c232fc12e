//! Which job has a key, or an id that its pusher chose.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};

/// A name, hashed: what is kept of it in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::sqlite) struct Hashed(u64);

/// Jobs by names that are not kept in memory: a name leads to the few jobs that
/// may have it, and whoever asks looks at their rows.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Names {
    jobs: HashTable<(u64, u64)>,
}

/// Hashes names, differently in every process.
#[derive(Debug, Default, Clone)]
pub(in crate::sqlite) struct Hasher(DefaultHashBuilder);

impl Hasher {
    pub(in crate::sqlite) fn hash(&self, name: impl Hash) -> Hashed {
        Hashed(self.0.hash_one(name))
    }
}

impl Names {
    /// Notes that a job has a name.
    pub(in crate::sqlite) fn insert(&mut self, Hashed(hash): Hashed, id: u64) {
        self.jobs.insert_unique(hash, (hash, id), |&(hash, _)| hash);
    }

    /// Forgets it.
    pub(in crate::sqlite) fn remove(&mut self, Hashed(hash): Hashed, id: u64) {
        match self.jobs.find_entry(hash, |&entry| entry == (hash, id)) {
            Ok(entry) => _ = entry.remove(),
            Err(_) => debug_assert!(false, "only what is there is taken"),
        }
        let (len, capacity) = (self.jobs.len(), self.jobs.capacity());
        if capacity > 1_024 && len < capacity / 8 {
            self.jobs.shrink_to(len * 2, |&(hash, _)| hash);
        }
    }

    /// The jobs that may have a name.
    pub(in crate::sqlite) fn candidates(&self, Hashed(hash): Hashed) -> impl Iterator<Item = u64> {
        self.jobs.iter_hash(hash).filter(move |entry| entry.0 == hash).map(|entry| entry.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_jobs_until_they_leave() {
        let (hasher, mut names) = (Hasher::default(), Names::default());
        let name = |n: u64| hasher.hash(("key", n));
        (0..10_000).for_each(|n| names.insert(name(n), n));
        assert_eq!(names.candidates(name(7)).collect::<Vec<_>>(), [7]);
        (0..10_000).filter(|n| *n != 7).for_each(|n| names.remove(name(n), n));
        assert_eq!(names.candidates(name(7)).collect::<Vec<_>>(), [7]);
        assert_eq!(names.candidates(name(8)).count(), 0);
        assert!(names.jobs.capacity() <= 1_024);
    }
}
