//! What waits for a moment, on either clock.

use std::cmp::Reverse;

use job::{Moment, Mono, Now, Timestamp};

use super::heap::Heap;

/// A place on one clock: a time, and the job that waits for it.
type At = (i64, u64);

/// Jobs that wait for a moment, and stay in this list until they are taken.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Alarms {
    mono: Heap<At>,
    wall: Heap<At>,
}

impl Alarms {
    pub(in crate::sqlite) fn set(&mut self, moment: Moment, id: u64) {
        match moment.mono {
            Some(mono) => self.mono.push((mono.0, id)),
            None => self.wall.push((moment.wall.0, id)),
        }
    }

    pub(in crate::sqlite) fn clear(&mut self, moment: Moment, id: u64) {
        match moment.mono {
            Some(mono) => self.mono.remove((mono.0, id)),
            None => self.wall.remove((moment.wall.0, id)),
        }
    }

    /// The first whose moment has come, and that moment as far as it decides.
    pub(in crate::sqlite) fn passed(&mut self, now: Now) -> Option<(Moment, u64)> {
        if let Some((at, id)) = self.mono.first().filter(|(at, _)| *at <= now.mono.0) {
            return Some((Moment { wall: now.wall, mono: Some(Mono(at)) }, id));
        }
        let (at, id) = self.wall.first().filter(|(at, _)| *at <= now.wall.0)?;
        Some((Moment { wall: Timestamp(at), mono: None }, id))
    }

    pub(in crate::sqlite) fn next(&mut self) -> Next {
        Next { mono: self.mono.first().map(|at| at.0), wall: self.wall.first().map(|at| at.0) }
    }
}

/// When something comes next.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::sqlite) struct Next {
    pub(in crate::sqlite) mono: Option<i64>,
    pub(in crate::sqlite) wall: Option<i64>,
}

impl Next {
    pub(in crate::sqlite) fn or_sooner(self, other: Self) -> Self {
        let sooner = |a: Option<i64>, b: Option<i64>| a.into_iter().chain(b).min();
        Self { mono: sooner(self.mono, other.mono), wall: sooner(self.wall, other.wall) }
    }
}

/// Jobs that wait for a moment, and are somewhere else once it has come.
///
/// Where a job is can be told from its moment alone, without a mark on each:
/// there is a line on either clock, and what lies beyond it is still to come.
/// The line goes forward one job at a time, and, when the wall clock was set
/// back, back one job at a time.
#[derive(Debug)]
pub(in crate::sqlite) struct Due {
    mono: Front,
    wall: Front,
    /// Those that have come by the wall clock, the latest first.
    came_by_wall: Heap<Reverse<At>>,
}

#[derive(Debug)]
struct Front {
    to_come: Heap<At>,
    /// All up to here have come.
    line: At,
}

impl Front {
    /// Takes the next one that has come by now, if any. If none has, the line is
    /// drawn at now.
    fn pop(&mut self, now: i64) -> Option<u64> {
        match self.to_come.first().filter(|(at, _)| *at <= now) {
            Some(first) => {
                self.to_come.remove(first);
                self.line = first;
                Some(first.1)
            }
            None => {
                self.line = self.line.max((now, u64::MAX));
                None
            }
        }
    }
}

impl Due {
    /// Nobody waits; what was due by `newest` has come.
    pub(in crate::sqlite) fn new(newest: Now) -> Self {
        let front = |now| Front { to_come: Heap::default(), line: (now, u64::MAX) };
        Self { mono: front(newest.mono.0), wall: front(newest.wall.0), came_by_wall: Heap::default() }
    }

    fn front(&mut self, moment: Moment) -> (&mut Front, i64) {
        match moment.mono {
            Some(mono) => (&mut self.mono, mono.0),
            None => (&mut self.wall, moment.wall.0),
        }
    }

    /// Whether the moment of a job has come, as far as this list got.
    pub(in crate::sqlite) fn has_come(&mut self, moment: Moment, id: u64) -> bool {
        let (front, at) = self.front(moment);
        (at, id) <= front.line
    }

    /// Notes a job. Answers whether its moment has come already.
    pub(in crate::sqlite) fn set(&mut self, moment: Moment, id: u64) -> bool {
        let came = self.has_come(moment, id);
        if !came {
            let (front, at) = self.front(moment);
            front.to_come.push((at, id));
        } else if moment.mono.is_none() {
            self.came_by_wall.push(Reverse((moment.wall.0, id)));
        }
        came
    }

    /// Forgets a job. Answers whether its moment had come already.
    pub(in crate::sqlite) fn clear(&mut self, moment: Moment, id: u64) -> bool {
        let came = self.has_come(moment, id);
        if !came {
            let (front, at) = self.front(moment);
            front.to_come.remove((at, id));
        } else if moment.mono.is_none() {
            self.came_by_wall.remove(Reverse((moment.wall.0, id)));
        }
        came
    }

    /// The next job whose moment has come; from now on it has.
    pub(in crate::sqlite) fn pop(&mut self, now: Now) -> Option<u64> {
        if let Some(id) = self.mono.pop(now.mono.0) {
            return Some(id);
        }
        let id = self.wall.pop(now.wall.0)?;
        self.came_by_wall.push(Reverse(self.wall.line));
        Some(id)
    }

    /// The next job whose moment had come before the wall clock was set back;
    /// from now on it has not.
    pub(in crate::sqlite) fn pop_back(&mut self, now: Now) -> Option<u64> {
        if now.wall.0 >= self.wall.line.0 {
            return None;
        }
        match self.came_by_wall.first().filter(|Reverse((at, _))| *at > now.wall.0) {
            Some(Reverse((at, id))) => {
                self.came_by_wall.remove(Reverse((at, id)));
                self.wall.to_come.push((at, id));
                self.wall.line = (at, id - 1);
                Some(id)
            }
            None => {
                self.wall.line = (now.wall.0, u64::MAX);
                None
            }
        }
    }

    pub(in crate::sqlite) fn next(&mut self) -> Next {
        Next { mono: self.mono.to_come.first().map(|at| at.0), wall: self.wall.to_come.first().map(|at| at.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(wall: i64, mono: i64) -> Now {
        Now { wall: Timestamp(wall), mono: Mono(mono) }
    }

    fn at(wall: i64) -> Moment {
        Moment { wall: Timestamp(wall), mono: None }
    }

    fn after(mono: i64) -> Moment {
        Moment { wall: Timestamp(0), mono: Some(Mono(mono)) }
    }

    #[test]
    fn what_falls_due_comes_one_by_one_and_can_be_found_and_taken_at_any_time() {
        let mut due = Due::new(now(0, 0));
        for (moment, id) in [(after(20), 1), (after(10), 2), (at(5), 3), (after(10), 4), (after(10), 5)] {
            assert!(!due.set(moment, id));
        }
        assert_eq!(due.pop(now(5, 10)), Some(2));
        assert!(!due.clear(after(10), 4), "it is due, but has not come yet");
        assert_eq!(due.pop(now(5, 10)), Some(5));
        assert_eq!(due.pop(now(5, 10)), Some(3));
        assert_eq!(due.pop(now(5, 10)), None);
        assert!(due.set(after(10), 6), "what is due when it is noted has come");
        assert!(due.clear(after(10), 5) && due.clear(at(5), 3) && due.clear(after(10), 6));
        assert_eq!(due.next().mono, Some(20));
    }

    #[test]
    fn what_came_by_the_wall_clock_goes_back_with_it() {
        let mut due = Due::new(now(0, 0));
        for wall in [3, 9, 6] {
            due.set(at(wall), wall.unsigned_abs());
        }
        assert_eq!([(); 4].map(|()| due.pop(now(10, 0))), [Some(3), Some(6), Some(9), None]);
        assert_eq!([(); 3].map(|()| due.pop_back(now(5, 0))), [Some(9), Some(6), None]);
        assert!(due.has_come(at(3), 3) && !due.has_come(at(6), 6) && !due.has_come(at(9), 9));
        assert_eq!([(); 2].map(|()| due.pop(now(7, 0))), [Some(6), None]);
        assert!(due.clear(at(6), 6) && !due.clear(at(9), 9));
    }
}
