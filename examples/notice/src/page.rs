//! What the page looks like.
//!
//! A row is rendered by one template, whether it goes out with the whole page
//! or alone to a page that is open.

use std::sync::LazyLock;
use std::time::Duration;

use minijinja::{Environment, Value, context};

use crate::book::{Notice, Request};
use crate::clock::Millis;
use crate::fate::Fate;

static PAGES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut pages = Environment::new();
    for (name, source) in [
        ("page.html", include_str!("../pages/page.html")),
        ("row.html", include_str!("../pages/row.html")),
        ("link.html", include_str!("../pages/link.html")),
    ] {
        pages.add_template(name, source).expect("a page that is part of the program is a template");
    }
    pages
});

/// What the page shows besides the rows.
#[derive(Debug, Clone)]
pub struct Frame {
    /// How long a mail waits.
    pub delay: Duration,
    /// Where the mails can be read, if there is such a place.
    pub mailbox: Option<String>,
    /// Whether switches can be turned off behind the queue's back.
    pub tamper: bool,
}

/// For whom a row is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// A reader at this time: times are written out.
    Reader(Millis),
    /// A page that is open and fills in the times itself. The row is the same
    /// for as long as nothing has happened.
    OpenPage,
}

/// The whole page.
pub fn page(frame: &Frame, requests: &[Request], silent_since: Option<Millis>, now: Millis) -> String {
    let rows: Vec<_> = requests
        .iter()
        .map(|request| context! { id => request.id, html => row(frame, request, For::Reader(now)) })
        .collect();
    render(
        "page.html",
        context! {
            rows,
            now => now.0,
            delay => span(frame.delay),
            mailbox => frame.mailbox.as_deref(),
            link => link(silent_since, For::Reader(now)),
        },
    )
}

/// One request, with its switch and what became of it.
pub fn row(frame: &Frame, request: &Request, whom: For) -> String {
    let mut notices = request.notices.iter();
    let newest = notices.next();
    let earlier: Vec<_> = notices.map(|notice| fate(notice, whom)).collect();
    let untold = !request.wanted && newest.is_some_and(|notice| !notice.fate.is_final());
    let trick = frame.tamper && request.wanted && newest.is_some_and(|notice| !notice.fate.is_final());
    render(
        "row.html",
        context! {
            id => request.id,
            title => request.title.as_str(),
            recipient => request.recipient.as_str(),
            address => request.address.as_str(),
            wanted => request.wanted,
            newest => newest.map(|notice| context! { trick, untold, ..fate(notice, whom) }),
            earlier,
        },
    )
}

/// What is said when aloud does not answer; empty while it does.
pub fn link(silent_since: Option<Millis>, whom: For) -> String {
    let when = match whom {
        For::OpenPage => None,
        For::Reader(now) => silent_since.map(|at| since(at, now)),
    };
    render("link.html", context! { at => silent_since.map(|at| at.0), when })
}

fn fate(notice: &Notice, whom: For) -> Value {
    let (class, sign, word, more) = match notice.fate {
        Fate::Noted => ("waiting", "…", "Goes out", Some("aloud has not taken it yet; it is kept here until then")),
        Fate::Waiting => ("waiting", "…", "Goes out", None),
        Fate::Sending => ("waiting", "→", "Is being sent", None),
        Fate::Retrying => ("failed", "!", "Did not go through; is tried again", None),
        Fate::GivenUp => ("failed", "!", "Did not go through, and is not tried any more", None),
        Fate::Unknown => ("failed", "?", "aloud does not know this notice", None),
        Fate::Sent => ("sent", "✓", "Sent", None),
        Fate::CalledOff => ("off", "×", "Called off", None),
        Fate::Skipped => ("skipped", "»", "Skipped", Some("just before it went out, it was not wanted any more")),
        Fate::Replaced => ("off", "×", "Replaced by a newer one", None),
        Fate::Expired => ("failed", "!", "Was not sent while it was of use", None),
        Fate::Deleted => ("off", "×", "Deleted by a person", None),
    };
    let due = match notice.fate {
        Fate::Noted | Fate::Waiting | Fate::Retrying => Some(notice.due),
        Fate::Sending | Fate::GivenUp | Fate::Unknown => None,
        Fate::Sent | Fate::CalledOff | Fate::Skipped | Fate::Replaced | Fate::Expired | Fate::Deleted => None,
    };
    let when = match whom {
        For::OpenPage => None,
        For::Reader(now) => due.map(|due| until(due, now)).or_else(|| notice.at.map(|at| since(at, now))),
    };
    let why = match notice.fate {
        Fate::Waiting | Fate::Retrying | Fate::GivenUp | Fate::Skipped => notice.why.as_deref(),
        Fate::Noted | Fate::Sending | Fate::Unknown | Fate::Sent | Fate::CalledOff => None,
        Fate::Replaced | Fate::Expired | Fate::Deleted => None,
    };
    context! {
        class, sign, word, when,
        more => why.or(more),
        asked => notice.asked.0,
        due => due.map(|due| due.0),
        at => notice.at.map(|at| at.0),
    }
}

/// What a listener hears when this has become of a notice.
pub fn said(request: &Request, notice: &Notice) -> String {
    format!("{}: {}.", request.title, notice.fate.word())
}

fn until(due: Millis, now: Millis) -> String {
    match u64::try_from(due.0 - now.0) {
        Ok(left) if left > 0 => format!("in {}", span(Duration::from_secs(left.div_ceil(1_000)))),
        _ => "now".to_owned(),
    }
}

fn since(at: Millis, now: Millis) -> String {
    let ago = u64::try_from(now.0 - at.0).unwrap_or_default() / 1_000;
    format!("{} ago", span(Duration::from_secs(ago)))
}

/// A length of time as people say it, to the two largest units.
fn span(span: Duration) -> String {
    let secs = span.as_secs();
    match (secs / 86_400, secs / 3_600 % 24, secs / 60 % 60, secs % 60) {
        (0, 0, 0, _) if secs == 0 && !span.is_zero() => format!("{} ms", span.as_millis()),
        (0, 0, 0, 1) => "1 second".to_owned(),
        (0, 0, 0, s) => format!("{s} seconds"),
        (0, 0, 1, 0) => "1 minute".to_owned(),
        (0, 0, m, 0) => format!("{m} minutes"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, 1, 0, _) => "1 hour".to_owned(),
        (0, h, 0, _) => format!("{h} hours"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

fn render(name: &str, what: Value) -> String {
    let page = PAGES.get_template(name).expect("the page is part of the program");
    page.render(what).unwrap_or_else(|error| format!("this page cannot be shown: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_796_115_600_000); // 2026-12-01T09:00:00Z

    fn notice(fate: Fate, at: Option<i64>, why: Option<&str>) -> Notice {
        Notice {
            job: "a-job".to_owned(),
            asked: Millis(NOW.0 - 60_000),
            due: Millis(NOW.0 + 125_000),
            fate,
            at: at.map(|ago| Millis(NOW.0 - ago)),
            why: why.map(str::to_owned),
        }
    }

    fn request(id: i64, wanted: bool, notices: Vec<Notice>) -> Request {
        Request {
            id,
            title: "The lamp in <room> 4 is out".to_owned(),
            recipient: "the caretaker".to_owned(),
            address: "caretaker@example.org".to_owned(),
            wanted,
            notices,
        }
    }

    fn frame() -> Frame {
        Frame { delay: Duration::from_secs(1_800), mailbox: Some("http://127.0.0.1:8025".to_owned()), tamper: true }
    }

    #[test]
    fn the_page_shows_every_request_and_what_became_of_it() {
        let requests = [
            request(1, false, vec![]),
            request(2, true, vec![notice(Fate::Waiting, None, None), notice(Fate::CalledOff, Some(3_700_000), None)]),
            request(3, true, vec![notice(Fate::Sent, Some(5_000), None)]),
            request(4, false, vec![notice(Fate::Skipped, Some(61_000), Some("the switch is off"))]),
            request(5, true, vec![notice(Fate::Retrying, None, Some("450 <busy>"))]),
        ];
        insta::assert_snapshot!(page(&frame(), &requests, Some(NOW), NOW));
    }

    #[test]
    fn a_row_for_an_open_page_is_the_same_while_nothing_happens() {
        let request = request(2, true, vec![notice(Fate::Waiting, None, None)]);
        let row = row(&frame(), &request, For::OpenPage);
        assert!(!row.contains("in 2 min"), "{row}");
        assert!(row.contains(&format!("data-due=\"{}\"", NOW.0 + 125_000)), "{row}");
    }

    #[test]
    fn a_switch_that_is_off_while_its_mail_still_waits_says_so() {
        let says = |wanted: bool| {
            let request = request(2, wanted, vec![notice(Fate::Waiting, None, None)]);
            row(&frame(), &request, For::OpenPage).contains("aloud was not told")
        };
        assert!(says(false));
        assert!(!says(true));
    }

    #[test]
    fn only_a_demo_offers_to_go_behind_the_queues_back() {
        let waiting = request(2, true, vec![notice(Fate::Waiting, None, None)]);
        let sent = request(2, true, vec![notice(Fate::Sent, Some(1), None)]);
        let offers = |tamper: bool, request: &Request| {
            row(&Frame { tamper, ..frame() }, request, For::OpenPage).contains("/tamper")
        };
        assert!(offers(true, &waiting));
        assert!(!offers(true, &sent));
        assert!(!offers(false, &waiting));
    }

    #[test]
    fn lengths_of_time_are_said_as_people_do() {
        let said = |secs: u64| span(Duration::from_secs(secs));
        assert_eq!(
            [said(1), said(10), said(60), said(1_800), said(125)],
            ["1 second", "10 seconds", "1 minute", "30 minutes", "2 min 5 s"]
        );
        assert_eq!(
            [said(3_600), said(7_205), said(5_400), said(90_000)],
            ["1 hour", "2 hours", "1 h 30 min", "1 d 1 h"]
        );
        assert_eq!(span(Duration::from_millis(250)), "250 ms");
    }
}
