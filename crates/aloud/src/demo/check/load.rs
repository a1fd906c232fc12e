//! A steady stream of mails, and what is seen of it afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use job::{Span, Timestamp};
use tokio::sync::oneshot;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Broken;
use super::eyes::{AT_ONCE, Eyes};
use crate::demo::mailbox::Letter;

/// How often a mail is asked for: 25 a second.
const EVERY: Duration = Duration::from_millis(40);
/// How long the stream goes on when what it is there for has ended.
const ON: Duration = Duration::from_millis(700);
/// How often the mailbox is looked into.
const LOOK: Duration = Duration::from_millis(100);

/// Where every mail of a stream goes.
pub(super) fn is_of_a_stream(address: &str) -> bool {
    address.starts_with("stream-")
}

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The addresses, each of which is asked for once.
    pub(super) asked: BTreeSet<String>,
    took: Duration,
}

/// What arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The mails, in the order of their arrival.
    pub(super) letters: Vec<Letter>,
}

impl Stream {
    /// Asks for mails while `act` goes on, and for a moment before and after;
    /// `name` is in their addresses, another one for each stream.
    pub(super) async fn during<T>(eyes: &Eyes, name: &str, act: impl Future<Output = T>) -> Result<(T, Self), Broken> {
        let (stop, mut stopped) = oneshot::channel::<()>();
        let asking = async {
            let (mut stream, began) = (Self::default(), Instant::now());
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            loop {
                tokio::select! {
                    biased;
                    _ = &mut stopped => break,
                    _ = ticks.tick() => {}
                }
                let to = format!("stream-{name}-{}@example.org", stream.asked.len() + 1);
                eyes.ask_for_a_mail(&to).await?;
                stream.asked.insert(to);
            }
            stream.took = began.elapsed();
            Ok::<_, Broken>(stream)
        };
        let acting = async {
            sleep(ON).await;
            let done = act.await;
            sleep(ON).await;
            drop(stop);
            done
        };
        let (stream, done) = tokio::join!(asking, acting);
        Ok((done, stream?))
    }

    /// How many a second.
    pub(super) fn rate(&self) -> f64 {
        self.asked.len() as f64 / self.took.as_secs_f64()
    }

    /// Waits until all have arrived, and sees that each came once.
    pub(super) async fn arrived(&self, eyes: &Eyes) -> Result<Arrived, Broken> {
        let deadline = Instant::now() + AT_ONCE;
        loop {
            let mut letters = eyes.mails().await?;
            letters.retain(|letter| letter.envelope_to.iter().any(|to| self.asked.contains(to)));
            let mut times = BTreeMap::<&str, u32>::new();
            for letter in &letters {
                *times.entry(&letter.to).or_default() += 1;
            }
            let twice: Vec<_> = times.iter().filter(|(_, times)| **times > 1).map(|(to, _)| *to).collect();
            if !twice.is_empty() {
                return Err(format!("sent more than once: {}", twice.join(", ")));
            }
            if times.len() == self.asked.len() {
                letters.sort_by_key(|letter| letter.arrived);
                return Ok(Arrived { letters });
            }
            if Instant::now() > deadline {
                let lost = self.asked.iter().filter(|to| !times.contains_key(to.as_str())).take(5);
                let lost = lost.cloned().collect::<Vec<_>>().join(", ");
                return Err(format!("{} of {} arrived; not, for one: {lost}", times.len(), self.asked.len()));
            }
            sleep(LOOK).await;
        }
    }
}

impl Arrived {
    /// The longest time in which none arrived.
    pub(super) fn longest_gap(&self) -> Span {
        let pairs = self.letters.windows(2);
        pairs.map(|pair| Timestamp(pair[1].arrived).since(Timestamp(pair[0].arrived))).max().unwrap_or(Span::ZERO)
    }

    /// The versions that sent them, by the first mail of each.
    pub(super) fn versions(&self) -> Vec<u32> {
        let mut versions = Vec::new();
        for version in self.letters.iter().filter_map(|letter| letter.version) {
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
        versions
    }
}
