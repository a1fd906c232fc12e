//! The outbox: intents beside the application's data.
