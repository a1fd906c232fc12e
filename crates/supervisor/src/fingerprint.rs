//! Whether two workers ended for the same reason.

use crate::event::LastLines;
use crate::exit::{Class, Exit};

/// How many of the last lines of each stream are compared.
const LINES: usize = 5;

/// What an end looks like, without what differs from one to the next: numbers,
/// times, addresses, names of processes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fingerprint(String);

impl Fingerprint {
    pub(crate) fn of(exit: Exit, class: &Class, last: &LastLines) -> Self {
        let mut text = format!("{exit:?}\n");
        if let Class::NotStarted(why) = class {
            text.push_str(&normalised(why));
        }
        for lines in [&last.stdout, &last.stderr] {
            text.push('\n');
            for line in &lines[lines.len().saturating_sub(LINES)..] {
                text.push_str(&normalised(line));
                text.push('\n');
            }
        }
        Self(text)
    }
}

/// Every word that holds a digit is replaced.
fn normalised(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut word = String::new();
    for c in line.chars().chain(['\n']) {
        if c.is_alphanumeric() {
            word.push(c);
            continue;
        }
        if word.chars().any(|c| c.is_ascii_digit()) || is_long_hex(&word) {
            out.push('#');
        } else {
            out.push_str(&word);
        }
        word.clear();
        out.push(c);
    }
    out.pop();
    out
}

fn is_long_hex(word: &str) -> bool {
    word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_one_process_to_the_next_makes_no_difference() {
        let of = |line: &str| {
            Fingerprint::of(
                Exit::Code(255),
                &Class::Failed,
                &LastLines { stdout: vec![line.to_owned()], stderr: Vec::new() },
            )
        };
        let first =
            of("[2026-12-01T09:00:00Z] PHP Parse error in releases/66/a.php on line 3 (pid 4711, 0x7ffe12, deadbeef)");
        assert_eq!(
            first,
            of("[2026-12-01T09:00:07Z] PHP Parse error in releases/66/a.php on line 3 (pid 4802, 0x7aaa00, cafebabe)")
        );
        assert_ne!(
            first,
            of("[2026-12-01T09:00:00Z] PHP Fatal error in releases/66/a.php on line 3 (pid 4711, 0x7ffe12, deadbeef)")
        );
        let other = Fingerprint::of(Exit::Signal(11), &Class::Failed, &LastLines::default());
        assert_ne!(other, Fingerprint::of(Exit::Signal(9), &Class::Failed, &LastLines::default()));
    }
}
