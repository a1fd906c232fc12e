//! The queue over the memory store. Time is tokio's, and stands still unless
//! everybody waits: what takes an hour here takes no time.

#[cfg(test)]
mod guards;
#[cfg(test)]
mod stop;
#[cfg(test)]
mod storm;
#[cfg(test)]
mod support;
#[cfg(test)]
mod takers;
#[cfg(test)]
mod timers;
