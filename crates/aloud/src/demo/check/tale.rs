//! What the check prints: a line for each step, with the time.

use std::future::Future;
use std::io::{self, Write};

use tokio::time::Instant;

use super::Broken;

/// What has been told so far.
pub(super) struct Tale {
    began: Instant,
    held: u32,
    broken: Vec<String>,
}

impl Tale {
    /// Begins now.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), held: 0, broken: Vec::new() }
    }

    /// Tells of something that was just seen to hold.
    pub(super) fn tell(&mut self, what: &str, seen: &str) -> io::Result<()> {
        self.held += 1;
        self.line("ok", what, seen)
    }

    /// Tells how a step went; one that did not hold does not stop the others.
    pub(super) fn told(&mut self, what: &str, went: Result<String, Broken>) -> io::Result<bool> {
        match went {
            Ok(seen) => self.tell(what, &seen).map(|()| true),
            Err(broken) => {
                self.broken.push(format!("`{what}`"));
                self.line("FAILED", what, &broken).map(|()| false)
            }
        }
    }

    /// Takes a step, and tells how it went.
    pub(super) async fn step(
        &mut self,
        what: &str,
        step: impl Future<Output = Result<String, Broken>>,
    ) -> io::Result<bool> {
        let went = step.await;
        self.told(what, went)
    }

    /// Whether everything held so far.
    pub(super) fn all_held(&self) -> bool {
        self.broken.is_empty()
    }

    /// What did not hold.
    pub(super) fn broken(&self) -> String {
        self.broken.join(", ")
    }

    /// Tells that all held.
    pub(super) fn conclude(&self) -> io::Result<()> {
        let (held, took) = (self.held, self.began.elapsed().as_secs_f64());
        write(&format!("\nall {held} held, in {took:.1} s\n"))
    }

    fn line(&self, mark: &str, what: &str, seen: &str) -> io::Result<()> {
        let at = self.began.elapsed().as_secs_f64();
        let seen: Vec<_> = seen.lines().map(|line| format!("{:18}{line}\n", "")).collect();
        write(&format!("{at:6.2} s  {mark:<6}  {what}\n{}", seen.concat()))
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
