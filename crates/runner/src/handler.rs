//! What does the jobs of one kind.

use job::{KindName, Span};

use crate::exec::ExecHandler;
use crate::http::HttpHandler;
use crate::mail::MailHandler;
use crate::unfit::Unfit;

/// What does the jobs of one kind, how many at once, and for how long at most.
#[derive(Clone, Debug)]
pub struct Handler {
    kind: KindName,
    concurrency: usize,
    timeout: Span,
    run: Run,
}

/// How a job is done.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for each handler, and never many")]
pub enum Run {
    /// By a request to the application.
    Http(HttpHandler),
    /// By a command.
    Exec(ExecHandler),
    /// By a letter.
    Mail(MailHandler),
}

impl Handler {
    /// How many jobs of a kind run at once, unless it is said.
    pub const CONCURRENCY: usize = 10;
    /// The most jobs of a kind that may run at once.
    pub const MAX_CONCURRENCY: usize = 1_000;
    /// The longest time that a job may be given.
    pub const MAX_TIMEOUT: Span = Span::from_secs(86_400);

    /// A handler of `kind`, with the usual number of jobs at once and the usual
    /// time for each: 30 seconds for a request, 1 minute for a letter, 10
    /// minutes for a command.
    pub fn new(kind: KindName, run: Run) -> Self {
        let timeout = match run {
            Run::Http(_) => Span::from_secs(30),
            Run::Mail(_) => Span::from_secs(60),
            Run::Exec(_) => Span::from_secs(600),
        };
        Self { kind, concurrency: Self::CONCURRENCY, timeout, run }
    }

    /// The same, with so many jobs at once.
    pub fn with_concurrency(self, concurrency: usize) -> Result<Self, Unfit> {
        if !(1..=Self::MAX_CONCURRENCY).contains(&concurrency) {
            return Err(Unfit::new(
                format!("the handler of `{}` has a concurrency of {concurrency}", self.kind),
                format!("give it 1 to {}", Self::MAX_CONCURRENCY),
            ));
        }
        Ok(Self { concurrency, ..self })
    }

    /// The same, with so much time for each job.
    pub fn with_timeout(self, timeout: Span) -> Result<Self, Unfit> {
        if timeout == Span::ZERO || timeout > Self::MAX_TIMEOUT {
            return Err(Unfit::new(
                format!("the handler of `{}` has a timeout of {timeout}", self.kind),
                format!("give it more than 0s and at most {}", Self::MAX_TIMEOUT),
            ));
        }
        Ok(Self { timeout, ..self })
    }

    /// Which jobs it does.
    pub fn kind(&self) -> &KindName {
        &self.kind
    }

    /// How many at once.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// For how long at most.
    pub fn timeout(&self) -> Span {
        self.timeout
    }

    /// How.
    pub fn run(&self) -> &Run {
        &self.run
    }
}

impl Run {
    /// Its name in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Exec(_) => "exec",
            Self::Mail(_) => "mail",
        }
    }
}
