//! The laws, looked at in the reference, and in the reference through faults.

mod plain {
    use store::laws::makers::InMemory;

    store::laws!(InMemory::default());
}

mod busy {
    use store::laws::makers::{InMemory, Through};

    store::laws!(Through::busy(InMemory::default()));
}

mod lost_answers {
    use store::laws::makers::{InMemory, Through};

    store::laws!(Through::lost_answers(InMemory::default()));
}

mod full_disk {
    use store::laws::makers::{InMemory, Through};

    store::laws!(Through::full_disk(InMemory::default()));
}
