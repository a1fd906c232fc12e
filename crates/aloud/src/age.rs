//! Times as a person reads them: how long ago, or how far off.

use job::{Span, Timestamp};

/// How far `at` lies from `now`, roughly: `in 29m 58s`, `3d 2h ago`.
pub(crate) fn relative(at: Timestamp, now: Timestamp) -> String {
    match (at.since(now), now.since(at)) {
        (Span::ZERO, Span::ZERO) => "now".to_owned(),
        (Span::ZERO, ago) => format!("{} ago", rough(ago)),
        (to_come, _) => format!("in {}", rough(to_come)),
    }
}

/// A span in its two largest units, down to seconds; below one second in
/// milliseconds.
pub(crate) fn rough(span: Span) -> String {
    const MICROS: i64 = 1_000_000;
    let micros = span.as_micros();
    if micros < MICROS {
        return format!("{}ms", micros / 1_000);
    }
    let seconds = micros / MICROS;
    let units = [("d", seconds / 86_400), ("h", seconds / 3_600 % 24), ("m", seconds / 60 % 60), ("s", seconds % 60)];
    let first = units.iter().position(|(_, count)| *count > 0).unwrap_or(3);
    let shown = units[first..].iter().take(2).filter(|(_, count)| *count > 0);
    shown.map(|(unit, count)| format!("{count}{unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_by_its_distance() {
        let now = Timestamp(1_000_000_000_000);
        let read = |text: &str| {
            let span: Span = text.parse().unwrap();
            (relative(now + span, now), relative(now - span, now))
        };
        assert_eq!(read("0s"), ("now".to_owned(), "now".to_owned()));
        assert_eq!(read("29m58s"), ("in 29m 58s".to_owned(), "29m 58s ago".to_owned()));
        assert_eq!(read("250ms").0, "in 250ms");
        assert_eq!(read("3d2h5m").1, "3d 2h ago");
        assert_eq!(read("1h5s").0, "in 1h");
        assert_eq!(read("59s900ms").0, "in 59s");
    }
}
