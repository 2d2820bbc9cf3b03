//! The store's tables, as the steps that made them. Steps only add: the previous minor version runs on what the present
//! one has made of the file. A step that was released is never edited.

/// Step n brings a file from schema n to n + 1.
pub(super) const MIGRATIONS: &[&str] = &[
    FOUNDATIONS,
    BUDGETS,
    PREFIXES_AND_BOOT,
    RECOVERY,
    DISABLED,
    REPLACES,
    STOLEN_PASSWORDS,
    WALL,
    GENERATION,
    EARNED,
    LAST_LOGINS,
    FIRST_LOGINS,
];

/// Lanes, charges, authenticators, reservations, known pairs.
const FOUNDATIONS: &str = r"
CREATE TABLE progress (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    lane_time INTEGER NOT NULL
) STRICT;
INSERT INTO progress VALUES (1, 0);
CREATE TABLE seal_key (
    id INTEGER PRIMARY KEY,
    check_value BLOB NOT NULL
) STRICT;
CREATE TABLE lane (
    account TEXT NOT NULL,
    lane TEXT NOT NULL,
    failures INTEGER NOT NULL,
    settled_at INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    PRIMARY KEY (account, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_closed ON lane (not_before);
CREATE TABLE charge (
    attempt INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    lane TEXT NOT NULL,
    opened_at INTEGER NOT NULL
) STRICT;
CREATE INDEX charge_lane ON charge (account, lane);
CREATE TABLE authenticator (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'active')),
    digits INTEGER NOT NULL,
    algorithm TEXT NOT NULL,
    step_s INTEGER NOT NULL,
    key_id INTEGER NOT NULL REFERENCES seal_key (id),
    seed BLOB NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER,
    used_step INTEGER NOT NULL DEFAULT -1,
    wrong_codes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX authenticator_account ON authenticator (account);
CREATE UNIQUE INDEX authenticator_label ON authenticator (account, label) WHERE state = 'active';
CREATE UNIQUE INDEX authenticator_pending ON authenticator (account) WHERE state = 'pending';
CREATE TABLE reservation (
    authenticator INTEGER NOT NULL REFERENCES authenticator (id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    source TEXT NOT NULL,
    service TEXT NOT NULL,
    tries INTEGER NOT NULL,
    open_attempt INTEGER,
    PRIMARY KEY (authenticator, step)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reservation_open ON reservation (open_attempt) WHERE open_attempt IS NOT NULL;
CREATE TABLE known (
    account TEXT NOT NULL,
    prefix TEXT NOT NULL,
    name TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    PRIMARY KEY (account, prefix)
) STRICT, WITHOUT ROWID;
";

/// What bounds an account over all its lanes: wrong codes and binds.
const BUDGETS: &str = r"
ALTER TABLE charge ADD COLUMN guess INTEGER NOT NULL DEFAULT 0;
CREATE TABLE account (
    id TEXT PRIMARY KEY,
    failures INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE wrong_code (
    account TEXT NOT NULL,
    lane TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX wrong_code_account ON wrong_code (account, at);
CREATE TABLE bind (
    attempt INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'failed', 'unanswered'))
) STRICT;
CREATE INDEX bind_account ON bind (account);
";

/// Prefix lanes as last written, and in which boot the time line was seen.
const PREFIXES_AND_BOOT: &str = r"
CREATE TABLE prefix_lane (
    prefix TEXT PRIMARY KEY,
    failures INTEGER NOT NULL,
    began INTEGER NOT NULL,
    not_before INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
ALTER TABLE progress ADD COLUMN boot TEXT;
ALTER TABLE progress ADD COLUMN lane_time_at_boot INTEGER;
";

/// Recovery codes as keyed hashes; the key of those is sealed as seeds are.
const RECOVERY: &str = r"
CREATE TABLE recovery_key (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    key_id INTEGER NOT NULL REFERENCES seal_key (id),
    sealed BLOB NOT NULL
) STRICT;
CREATE TABLE recovery_code (
    id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    mark BLOB NOT NULL,
    made INTEGER NOT NULL,
    spent_by INTEGER,
    used INTEGER,
    UNIQUE (account, mark)
) STRICT;
";

/// The administrator's lock.
const DISABLED: &str = r"
CREATE TABLE disabled (
    account TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    reason TEXT,
    by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// A pending authenticator that takes the place of another when it is confirmed.
const REPLACES: &str = "ALTER TABLE authenticator ADD COLUMN replaces INTEGER;";

/// Right passwords behind wrong codes: who has had a diagnostic bind since the last success, the last few of them, and
/// the accounts whose password looks stolen.
const STOLEN_PASSWORDS: &str = r"
CREATE TABLE diagnosed (
    account TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
CREATE TABLE right_password (
    account TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX right_password_account ON right_password (account);
CREATE TABLE stolen_password (
    account TEXT PRIMARY KEY,
    tries INTEGER NOT NULL,
    since INTEGER NOT NULL,
    last INTEGER NOT NULL,
    last_from TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// How far the wall clock was believed, and whether it was.
const WALL: &str = r"
ALTER TABLE progress ADD COLUMN wall INTEGER;
ALTER TABLE progress ADD COLUMN wall_boot TEXT;
ALTER TABLE progress ADD COLUMN wall_offset INTEGER;
ALTER TABLE progress ADD COLUMN wall_offset_at INTEGER;
ALTER TABLE progress ADD COLUMN wall_suspect TEXT;
ALTER TABLE progress ADD COLUMN wall_suspect_by INTEGER;
";

/// By which a restored copy of the file is noticed.
const GENERATION: &str = r"
ALTER TABLE progress ADD COLUMN generation TEXT;
";

/// What accounts earned at places, or were given there. An empty service means every one.
const EARNED: &str = r"
CREATE TABLE earned (
    account TEXT NOT NULL,
    prefix TEXT NOT NULL,
    service TEXT NOT NULL,
    evidence TEXT NOT NULL CHECK (evidence IN ('logins', 'administrator')),
    spelling TEXT NOT NULL,
    since INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    logins INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (account, prefix, service, evidence)
) STRICT, WITHOUT ROWID;
";

/// The last login of each account, how many failed since, and the countries it has been let in from.
const LAST_LOGINS: &str = r"
CREATE TABLE last_login (
    account TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    service TEXT NOT NULL,
    failed_since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE visited (
    account TEXT NOT NULL,
    country TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (account, country)
) STRICT, WITHOUT ROWID;
";

/// Invitations as keyed hashes, under the key of the recovery codes; and who was let in without an authenticator.
const FIRST_LOGINS: &str = r"
CREATE TABLE invitation (
    account TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    mark BLOB NOT NULL,
    made INTEGER NOT NULL,
    until INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE grace (
    account TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    last_used INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";
