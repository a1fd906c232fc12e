//! What is kept of an output, however much there is of it.

use std::collections::VecDeque;
use std::fmt::Write;

/// The beginning and the end of a stream of bytes.
///
/// It holds less than [`job::attempt::MAX_TEXT_BYTES`], whatever is poured into
/// it, so that there is room for the words about what was left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excerpt {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Excerpt {
    const HEAD: usize = 1_024;
    const TAIL: usize = 2_900;

    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut excerpt = Self::default();
        excerpt.add(bytes);
        excerpt
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(Self::HEAD - self.head.len()));
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(Self::TAIL)..];
        let surplus = (self.tail.len() + rest.len()).saturating_sub(Self::TAIL);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
    }

    /// The text, with a note where something was left out; `None` if there is
    /// nothing but white space.
    pub(crate) fn text(&self) -> Option<String> {
        let left_out = self.total - (self.head.len() + self.tail.len()) as u64;
        let mut bytes = self.head.clone();
        let mut text = String::new();
        if left_out > 0 {
            text = readable(&bytes);
            bytes.clear();
            write!(text, "\n… {left_out} bytes left out …\n").expect("a String takes everything");
        }
        bytes.extend(&self.tail);
        text.push_str(&readable(&bytes));
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The first line that is not blank.
    pub(crate) fn first_line(&self) -> Option<String> {
        let head = readable(&self.head);
        head.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }

    /// The last lines, at most 20 and at most some 2,900 bytes.
    pub(crate) fn last_lines(&self) -> Option<String> {
        const LINES: usize = 20;
        let mut end = if self.tail.len() < Self::TAIL { self.head.clone() } else { Vec::new() };
        end.extend(&self.tail);
        let text = readable(&end[end.len().saturating_sub(Self::TAIL)..]);
        let text = text.trim();
        let from = text.rmatch_indices('\n').nth(LINES - 1).map_or(0, |(at, _)| at + 1);
        (!text.is_empty()).then(|| text[from..].to_owned())
    }
}

/// Text for people: what is not UTF-8, and control characters that would act on
/// a terminal, are replaced.
pub(crate) fn readable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .filter(|&c| c != '\r')
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_output_is_kept_whole() {
        assert_eq!(Excerpt::of(b"  sent to 3 people\n").text().unwrap(), "sent to 3 people");
        assert_eq!(Excerpt::of(b" \n\n").text(), None);
        let long = "x".repeat(Excerpt::HEAD + Excerpt::TAIL);
        assert_eq!(Excerpt::of(long.as_bytes()).text().unwrap(), long);
    }

    #[test]
    fn of_a_flood_the_beginning_and_the_end_are_kept() {
        let mut excerpt = Excerpt::default();
        excerpt.add(b"first line\n");
        for n in 0..100_000 {
            excerpt.add(format!("line {n}\n").as_bytes());
        }
        assert!(excerpt.head.len() + excerpt.tail.len() <= Excerpt::HEAD + Excerpt::TAIL);
        let text = excerpt.text().unwrap();
        assert!(text.len() <= job::attempt::MAX_TEXT_BYTES, "{}", text.len());
        assert!(text.starts_with("first line\nline 0\n"));
        assert!(text.contains("bytes left out"));
        assert!(text.ends_with("line 99999"));
        assert_eq!(excerpt.first_line().unwrap(), "first line");
        let last = excerpt.last_lines().unwrap();
        assert_eq!(last.lines().count(), 20);
        assert!(last.starts_with("line 99980\n"));
    }

    #[test]
    fn one_huge_piece_is_cut_like_many_small_ones() {
        let flood: Vec<u8> = (0..200_000_u32).map(|n| b'a' + (n % 26) as u8).collect();
        let mut small = Excerpt::default();
        flood.chunks(7).for_each(|piece| small.add(piece));
        assert_eq!(Excerpt::of(&flood).text(), small.text());
    }

    #[test]
    fn what_would_act_on_a_terminal_is_replaced() {
        assert_eq!(Excerpt::of(b"\x1b[31mred\x07 \xff\r\n").text().unwrap(), "\u{fffd}[31mred\u{fffd} \u{fffd}");
    }
}
