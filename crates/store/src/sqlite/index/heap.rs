//! A heap from which anything can be taken, not only the first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;

use hashbrown::HashMap;

/// A heap of small entries, the smallest first.
///
/// What is taken from its middle is only marked, and leaves when it comes to the
/// top or when a quarter of the heap is marked. Entries that are equal stand for
/// each other, so nobody has to know which of two was meant.
#[derive(Debug)]
pub(in crate::sqlite) struct Heap<E> {
    entries: BinaryHeap<Reverse<E>>,
    /// Which entries are to leave, and how many of each.
    marked: HashMap<E, u32>,
    marks: usize,
}

/// So many marks are never worth a sweep.
const FEW: usize = 64;

impl<E> Default for Heap<E>
where
    Reverse<E>: Ord,
{
    fn default() -> Self {
        Self { entries: BinaryHeap::new(), marked: HashMap::new(), marks: 0 }
    }
}

impl<E: Copy + Ord + Hash> Heap<E> {
    /// Adds an entry.
    pub(in crate::sqlite) fn push(&mut self, entry: E) {
        // An equal one that was to leave may as well stay.
        if self.marks > 0 && self.unmark(entry) {
            return;
        }
        if self.entries.len() == self.entries.capacity() {
            // By an eighth rather than to the double: the memory of a waiting job is promised.
            self.entries.reserve_exact((self.entries.len() / 8).max(16));
        }
        self.entries.push(Reverse(entry));
    }

    /// The smallest.
    pub(in crate::sqlite) fn first(&mut self) -> Option<E> {
        loop {
            let Reverse(first) = *self.entries.peek()?;
            if self.marks == 0 || !self.unmark(first) {
                return Some(first);
            }
            self.entries.pop();
        }
    }

    /// Takes an entry that is there.
    pub(in crate::sqlite) fn remove(&mut self, entry: E) {
        if self.first() == Some(entry) {
            self.entries.pop();
        } else {
            *self.marked.entry(entry).or_insert(0) += 1;
            self.marks += 1;
        }
        if self.marks > FEW.max(self.entries.len() / 4) {
            self.sweep();
        }
        let (len, capacity) = (self.entries.len(), self.entries.capacity());
        if capacity > 1_024 && len < capacity / 4 {
            self.entries.shrink_to(len * 2);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(in crate::sqlite) fn len(&self) -> usize {
        self.entries.len() - self.marks
    }

    fn unmark(&mut self, entry: E) -> bool {
        let Some(count) = self.marked.get_mut(&entry) else { return false };
        *count -= 1;
        if *count == 0 {
            self.marked.remove(&entry);
        }
        self.marks -= 1;
        true
    }

    fn sweep(&mut self) {
        let mut entries = std::mem::take(&mut self.entries).into_vec();
        entries.retain(|&Reverse(entry)| !self.unmark(entry));
        debug_assert_eq!(self.marks, 0, "only what is there is taken");
        self.marked = HashMap::new();
        self.marks = 0;
        self.entries = entries.into();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Act {
        Push(u8),
        /// Takes the entry at this place of the sorted list.
        Take(prop::sample::Index),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![any::<u8>().prop_map(Act::Push), any::<prop::sample::Index>().prop_map(Act::Take)];
        proptest::collection::vec(act, 0..2_000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_heap_is_a_sorted_list(acts in acts()) {
            let mut list: Vec<u8> = Vec::new();
            let mut heap = Heap::default();
            for act in acts {
                match act {
                    Act::Push(entry) => {
                        list.insert(list.partition_point(|&e| e < entry), entry);
                        heap.push(entry);
                    }
                    Act::Take(place) if !list.is_empty() => heap.remove(list.remove(place.index(list.len()))),
                    Act::Take(_) => {}
                }
                prop_assert_eq!(heap.first(), list.first().copied());
                prop_assert_eq!(heap.len(), list.len());
            }
        }
    }

    #[test]
    fn what_has_left_takes_no_room() {
        let mut heap = Heap::default();
        for n in 0..100_000_u64 {
            heap.push((0_u32, n));
        }
        assert!(heap.entries.capacity() < 113_000, "it grows by an eighth");
        for n in (0..100_000).rev() {
            heap.remove((0, n));
        }
        assert_eq!(heap.len(), 0);
        assert!(heap.entries.len() <= FEW);
        assert!(heap.entries.capacity() <= 1_024);
    }
}
