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
    /// What is current when the command starts, or a folder inside it.
    Code(Arc<dyn Code>, Option<PathBuf>),
    /// This one, absolute, but entered as the code says.
    Beside(Arc<dyn Code>, PathBuf),
}

impl Place {
    /// What is current of `code`; or `dir`, inside that if it is relative. No
    /// `..` leads out of it.
    pub(super) fn of(code: Arc<dyn Code>, dir: Option<&Path>) -> Result<Self, Unfit> {
        let leads_out = |part| !matches!(part, Component::Normal(_) | Component::CurDir);
        match dir {
            Some(dir) if dir.is_absolute() => Ok(Self::Beside(code, dir.to_owned())),
            Some(dir) if dir.components().any(leads_out) => Err(Unfit::new(
                format!("the folder `{}` leads out of the release", dir.display()),
                "write a path inside the release without `..`, or a whole path from `/` onwards",
            )),
            Some(_) | None => Ok(Self::Code(code, dir.map(Path::to_owned))),
        }
    }

    /// Finds it, anew every time. Files are looked at where that holds nobody
    /// up; if the caller does not wait to the end, what was found is let go.
    pub(super) async fn enter(&self) -> Result<Entered, String> {
        match self.clone() {
            Self::Folder(dir) => Ok(Entered { dir, ..Entered::default() }),
            Self::Beside(code, dir) => aside(move || code.enter_folder(&dir)).await,
            Self::Code(code, inside) => {
                let mut entered = aside(move || code.enter()).await?;
                if let Some(inside) = inside {
                    entered.dir.push(inside);
                }
                // A folder whose name is not UTF-8 is found without it.
                entered.env.extend(entered.dir.to_str().map(|dir| ("PWD".to_owned(), dir.to_owned())));
                Ok(entered)
            }
        }
    }
}

async fn aside(enter: impl FnOnce() -> Result<Entered, String> + Send + 'static) -> Result<Entered, String> {
    let entered = tokio::task::spawn_blocking(enter).await;
    entered.unwrap_or_else(|error| Err(format!("aloud itself failed: {error}")))
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(dir) | Self::Beside(_, dir) => dir.fmt(f),
            Self::Code(code, None) => code.fmt(f),
            Self::Code(code, Some(inside)) => write!(f, "{inside:?} in {code:?}"),
        }
    }
}
