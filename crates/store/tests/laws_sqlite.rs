//! The laws, looked at in the embedded store, and in the embedded store through
//! faults.

mod plain {
    use store::laws::makers::Embedded;

    store::laws!(Embedded::new());
}

mod relaxed {
    use store::laws::makers::Embedded;

    store::laws!(Embedded::relaxed());
}

mod busy {
    use store::laws::makers::{Embedded, Through};

    store::laws!(Through::busy(Embedded::relaxed()));
}

mod lost_answers {
    use store::laws::makers::{Embedded, Through};

    store::laws!(Through::lost_answers(Embedded::relaxed()));
}

mod full_disk {
    use store::laws::makers::{Embedded, Through};

    store::laws!(Through::full_disk(Embedded::relaxed()));
}
