//! The loop that supervises.

use tokio::sync::{broadcast, mpsc};

use crate::event::Event;
use crate::output::Line;
use crate::pool::Pool;
use crate::supervisor::{Command, Failure, Options};

/// Begins to supervise.
pub(crate) async fn begin(
    options: Options,
    pools: Vec<Pool>,
    inbox: mpsc::Receiver<Command>,
    events: broadcast::Sender<Event>,
    lines: broadcast::Sender<Line>,
) -> Result<(), Failure> {
    drop((options, pools, inbox, events, lines));
    Err(Failure::Stopped)
}
