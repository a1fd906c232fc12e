//! The last of what a stream said, in lines.

use std::collections::VecDeque;

use super::{KEPT, LONGEST_LINE};

/// Makes lines of pieces, and keeps the last of them.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The line that has not ended yet.
    open: Vec<u8>,
    /// Whether the open line is longer than is kept.
    cut: bool,
}

/// A line that has ended, and whether some of it was left out.
pub(crate) type Told = (Vec<u8>, bool);

impl Tail {
    /// Takes a piece, and gives the lines that ended in it.
    pub(crate) fn add(&mut self, piece: &[u8]) -> Vec<Told> {
        let mut ended = Vec::new();
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = LONGEST_LINE - self.open.len();
            self.open.extend_from_slice(&part[..part.len().min(room)]);
            self.cut |= part.len() > room;
            if parts.peek().is_some() {
                ended.push(self.close());
            }
        }
        ended
    }

    /// Ends the line that is open, if one is: nothing more will come.
    pub(crate) fn end(&mut self) -> Option<Told> {
        (!self.open.is_empty()).then(|| self.close())
    }

    /// The line that has not ended.
    pub(crate) fn open(&self) -> &[u8] {
        &self.open
    }

    fn close(&mut self) -> Told {
        let mut line = std::mem::take(&mut self.open);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        self.bytes += line.len() + 1;
        self.lines.push_back(line.clone());
        while self.bytes > KEPT {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len() + 1;
        }
        (line, std::mem::take(&mut self.cut))
    }

    /// The last lines as text, also the one that has not ended. What is no
    /// text, or would move a cursor, is replaced.
    pub(crate) fn last(&self, most: usize) -> Vec<String> {
        let open = (!self.open.is_empty()).then_some(&self.open);
        let all = self.lines.iter().chain(open);
        let count = self.lines.len() + usize::from(open.is_some());
        all.skip(count.saturating_sub(most)).map(|line| shown(line)).collect()
    }
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_put_together_and_cut_and_the_oldest_go() {
        let mut tail = Tail::default();
        assert_eq!(tail.add(b"one\r\ntw"), [(b"one".to_vec(), false)]);
        assert_eq!(tail.last(5), ["one", "tw"]);
        assert_eq!(tail.add(b"o\n\x1b[31m\xff"), [(b"two".to_vec(), false)]);
        assert_eq!(tail.last(2), ["two", "\u{fffd}[31m\u{fffd}"]);
        tail.end();
        let long = vec![b'x'; 3 * LONGEST_LINE];
        assert_eq!(tail.add(&long), []);
        let (line, cut) = tail.add(b"\nnext\n").remove(0);
        assert_eq!((line.len(), cut), (LONGEST_LINE, true));
        for _ in 0..10_000 {
            tail.add(b"0123456789\n");
        }
        assert!(tail.bytes <= KEPT && tail.bytes > KEPT - 20);
        assert_eq!(tail.last(usize::MAX).len(), tail.bytes / 11);
    }

    proptest! {
        #[test]
        fn however_the_pieces_fall_the_lines_are_the_same(text: Vec<u8>, at in 0_usize..200) {
            let mut whole = Tail::default();
            let mut split = Tail::default();
            let mut expect = whole.add(&text);
            let at = at.min(text.len());
            let mut found = split.add(&text[..at]);
            found.extend(split.add(&text[at..]));
            expect.extend(whole.end());
            found.extend(split.end());
            prop_assert_eq!(expect, found);
        }
    }
}
