//! What the operator decides about the server.

use std::time::Duration;

use job::{AppName, Span};

use crate::agents::Agents;
use crate::token::Token;

/// What the operator decides about the server.
#[derive(Clone, Debug)]
pub struct Options {
    /// The app that this server belongs to. A request that names another is
    /// refused.
    pub app: AppName,
    /// What opens everything under `/v1`.
    pub token: Token,
    /// Which `aloud` serves, as `GET /v1/status` tells it.
    pub version: String,
    /// Names and addresses, besides those of the loopback interface, by which
    /// this server may be called; without a port.
    pub allowed_hosts: Vec<String>,
    /// Whether the store answers up to a second ahead of the disk, as `GET
    /// /v1/status` tells it.
    pub relaxed: bool,
    /// What is not as it should be besides what the queue finds, in sentences,
    /// worst first.
    pub findings: Vec<String>,
    /// The agents of hosts, and who may speak as one.
    pub agents: Agents,
    /// How long due work may wait before `GET /v1/status` calls it late; a
    /// minute.
    pub max_latency: Span,
    /// What is too much.
    pub limits: Limits,
}

impl Options {
    /// Options with everything else as it is by default.
    pub fn new(app: AppName, token: Token, version: impl Into<String>) -> Self {
        Self {
            app,
            token,
            version: version.into(),
            allowed_hosts: Vec::new(),
            relaxed: false,
            findings: Vec::new(),
            agents: Agents::in_memory(),
            max_latency: Span::from_secs(60),
            limits: Limits::default(),
        }
    }
}

/// What is too much, and how long is too long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest body of a request, in bytes; 2 MiB.
    pub max_body: usize,
    /// The most connections at once; 900, so that they and the store's files
    /// fit into the 1,024 descriptors that a process has by default. Further
    /// ones wait to be accepted.
    pub max_connections: usize,
    /// The most requests that wait for a job at once; 750, so that some
    /// connections are left for pushes and ends. Further ones are answered 503.
    pub max_waiting: usize,
    /// How long the head of a request may take, and how long a connection may
    /// be idle; 2 minutes. Clients keep an idle connection for 90 seconds at
    /// most, so that it is they who close it, and not the server while a request
    /// is on its way.
    pub head_within: Duration,
    /// How long the body of a request may take; 30 seconds.
    pub body_within: Duration,
    /// How long a client may take nothing of its answer; 30 seconds.
    pub taken_within: Duration,
    /// How long requests may go on after the server was told to stop; 10
    /// seconds.
    pub stop_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 2 << 20,
            max_connections: 900,
            max_waiting: 750,
            head_within: Duration::from_secs(120),
            body_within: Duration::from_secs(30),
            taken_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(10),
        }
    }
}
