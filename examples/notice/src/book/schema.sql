-- What the application keeps. The outbox of the client lies beside it in the
-- same file, so that a switch and what it asks of aloud are one commit.

-- Somebody wants to be told about something.
CREATE TABLE IF NOT EXISTS request (
  id        INTEGER PRIMARY KEY,
  title     TEXT NOT NULL UNIQUE,
  recipient TEXT NOT NULL,
  address   TEXT NOT NULL,
  wanted    INTEGER NOT NULL DEFAULT 0 CHECK (wanted IN (0, 1)),
  job       TEXT                -- the notice that the switch last asked for
) STRICT;

-- Each time a switch is turned on, one of these.
CREATE TABLE IF NOT EXISTS notice (
  id      INTEGER PRIMARY KEY,
  job     TEXT NOT NULL UNIQUE, -- its id in aloud
  request INTEGER NOT NULL REFERENCES request (id),
  asked   INTEGER NOT NULL,     -- when the switch was turned on; times in milliseconds since 1970
  due     INTEGER NOT NULL,     -- when its mail is due
  fate    TEXT NOT NULL,        -- a word of `Fate`
  at      INTEGER,              -- when it ended
  why     TEXT                  -- what aloud said of it
) STRICT;
CREATE INDEX IF NOT EXISTS notice_of_request ON notice (request, id);

INSERT OR IGNORE INTO request (title, recipient, address) VALUES
  ('The book on hold has come in', 'the reader', 'reader@example.org'),
  ('The lamp in room 4 is out', 'the caretaker', 'caretaker@example.org'),
  ('The minutes are ready to be read', 'the chair', 'chair@example.org'),
  ('A parcel stands at the front desk', 'the neighbour', 'neighbour@example.org'),
  ('The greenhouse is too warm', 'the gardener', 'gardener@example.org');
