//! The program of this process itself.

use host::Seen;
use host::binary::{Installed, installed, program};

use crate::real::{Tree, again, known, succeeds, told};

#[test]
fn a_program_notices_that_it_was_replaced() {
    let Some(path) = told("PROGRAM") else {
        let tree = Tree::new();
        let test = "own::a_program_notices_that_it_was_replaced";
        return succeeds(again(test, &tree, &[]).env("PROGRAM", tree.path("test")));
    };
    let path = std::path::Path::new(&path);
    let link = path.with_file_name("link");
    std::os::unix::fs::symlink(path, &link).unwrap();
    assert_eq!((installed(path), installed(&link)), (Seen::Known(Installed::Same), Seen::Known(Installed::Same)));
    assert_eq!(known(program()).path, path);
    let next = path.with_file_name("next");
    std::fs::copy(path, &next).unwrap();
    std::fs::rename(&next, path).unwrap();
    assert_eq!((installed(path), installed(&link)), (Seen::Known(Installed::Other), Seen::Known(Installed::Other)));
    let running = known(program());
    assert_eq!((running.path.as_path(), running.deleted), (path, true));
    std::fs::remove_file(path).unwrap();
    assert_eq!((installed(path), installed(&link)), (Seen::Gone, Seen::Gone));
}
