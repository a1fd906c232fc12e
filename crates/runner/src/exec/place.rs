//! Where a command starts.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::code::{Code, Entered};
use crate::unfit::Unfit;

/// The folder of a command, as it is declared.
#[derive(Clone)]
pub(super) enum Place {
    /// This one, absolute.
    Folder(PathBuf),
    /// What is current when the command starts, or this folder inside it.
    Code(Arc<dyn Code>, Option<PathBuf>),
}

impl Place {
    /// A folder inside `code`, which no `..` leads out of.
    pub(super) fn inside(code: Arc<dyn Code>, inside: Option<&Path>) -> Result<Self, Unfit> {
        let leads_out = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
        if let Some(out) = inside.filter(|inside| inside.components().any(leads_out)) {
            return Err(Unfit::new(
                format!("the folder `{}` leads out of the release", out.display()),
                "write a path inside the release without `..`, or a whole path from `/` onwards",
            ));
        }
        Ok(Self::Code(code, inside.map(Path::to_owned)))
    }

    /// Finds it, anew every time. Files are looked at where that holds nobody
    /// up; if the caller does not wait to the end, what was found is let go.
    pub(super) async fn enter(&self) -> Result<Entered, String> {
        let (code, inside) = match self {
            Self::Folder(dir) => return Ok(Entered { dir: dir.clone(), ..Entered::default() }),
            Self::Code(code, inside) => (Arc::clone(code), inside),
        };
        let entered = tokio::task::spawn_blocking(move || code.enter()).await;
        let mut entered = entered.unwrap_or_else(|error| Err(format!("aloud itself failed: {error}")))?;
        if let Some(inside) = inside {
            entered.dir.push(inside);
        }
        // A folder whose name is not UTF-8 is found without it.
        entered.env.extend(entered.dir.to_str().map(|dir| ("PWD".to_owned(), dir.to_owned())));
        Ok(entered)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) => dir.fmt(f),
            Self::Code(code, None) => code.fmt(f),
            Self::Code(code, Some(inside)) => write!(f, "{inside:?} in {code:?}"),
        }
    }
}
