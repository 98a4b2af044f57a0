-- The ledger of a burngate: what happened (journal), what it added up to (snapshots), and the runs and calls it is about.
-- Open it read-only (`sqlite3 -readonly ledger.db`) and start with the views at the end: run_list, call_list, charge_list, check_list, journal_list.
-- Times are milliseconds since 1970-01-01 UTC. PRAGMA application_id is 0x6275726E ("burn"), PRAGMA user_version the version of this schema.

-- Facts about the file itself.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,     -- ledger: 16 random bytes that name this ledger; commits: transactions so far; now: the latest time ever seen,
    value ANY NOT NULL          -- below which the gate's clock never goes; lost: set while a start after an accepted loss is not yet on the books;
) STRICT, WITHOUT ROWID;          -- draw: 32 random bytes that decide which finished runs people are asked to judge

-- Every event, in order, without gaps. hash = SHA-256(hash of the row before ‖ seq ‖ at ‖ length of workflow ‖ workflow ‖ body), numbers as 8 bytes big-endian,
-- a missing workflow as length -1; the row before the first is SHA-256('burngate ledger' ‖ meta.ledger). A changed, missing or repeated row breaks the chain.
CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,   -- from 1
    at       INTEGER NOT NULL,      -- when it happened, by the gate's clock
    workflow TEXT,                  -- whose; NULL for the process and for every workflow
    kind     TEXT NOT NULL,         -- the event's name, for reading; the body has it too
    body     TEXT NOT NULL,         -- the event as JSON
    hash     BLOB NOT NULL          -- see above
) STRICT;

-- What the journal adds up to at some of its positions; the two newest are kept. A start reads one and the journal after it.
CREATE TABLE snapshots (
    seq      INTEGER PRIMARY KEY,   -- the last journal row it contains
    at       INTEGER NOT NULL,      -- when it was taken
    head     BLOB NOT NULL,         -- the hash of that row
    body     TEXT NOT NULL,         -- the state as JSON
    checksum BLOB NOT NULL          -- SHA-256(seq ‖ at ‖ head ‖ body)
) STRICT;

-- Names of workflows, agents, tools, rules and failure modes, written once.
CREATE TABLE names (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- One row a run that was booked, with its first call in the same row: most runs have one call, and this row is what the proxy's speed pays for.
-- id >> 21 is the time the run is booked to, so the rows lie in that order and no index on it is needed.
CREATE TABLE runs (
    id       INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,      -- names.id
    agent    INTEGER NOT NULL,      -- names.id
    run      TEXT,                  -- the run's id; NULL where its only call is the run, then `call_` and the call in hexadecimal is its id
    mark     INTEGER NOT NULL,      -- 0 idle, 1 acceptable, 2 unacceptable, 3 excluded
    counts   INTEGER NOT NULL,      -- 1 if it counts even where nothing went wrong: a call above `read` was forwarded
    high     INTEGER NOT NULL,      -- 1 if it executed a call of a `high` tool
    notable  INTEGER NOT NULL,      -- 1 unacceptable or excluded, 2 a call was sent and its answer lost, 4 not ended; added up
    began    INTEGER NOT NULL,      -- when it began: milliseconds before it was booked
    ended    INTEGER,               -- when it ended: milliseconds after it was booked; NULL while it has not
    more     INTEGER NOT NULL,      -- how many calls it has besides the first; they are in `calls`
    call     BLOB,                  -- the first call's id, 16 bytes in order of time
    at       INTEGER,               -- when that call was judged: milliseconds after the run began
    tool     INTEGER,               -- names.id
    risk     INTEGER,               -- of the tool: 0 read, 1 low, 2 medium, 3 high
    verdict  INTEGER,               -- 0 allow, 1 hold, 2 deny
    executed INTEGER,               -- 0 no, 1 yes, 2 unknown: sent, and the answer lost
    rule     INTEGER,               -- names.id of the rule that decided, where it was not allowed
    status   INTEGER,               -- the status the agent got
    subject  BLOB,                  -- the business object: the first 16 bytes of SHA-256(meta.ledger ‖ subject); the text itself is not kept
    seen     INTEGER                -- what was seen of it, or said in a check, besides its charges: 2 an escalation was due, 8 a missed one was caught by a hold,
                                    -- 16 it was rework, 32 it was checked, 64 and was right; added up, NULL for nothing
) STRICT;
CREATE INDEX runs_by_call ON runs (call);
CREATE UNIQUE INDEX runs_by_name ON runs (run, workflow, agent) WHERE run IS NOT NULL;
CREATE INDEX runs_notable ON runs (id, notable, mark) WHERE notable > 0;

-- The second and later calls of runs; the columns mean what they mean in `runs`.
CREATE TABLE calls (
    run      INTEGER NOT NULL,      -- runs.id
    n        INTEGER NOT NULL,      -- 2 for the second call
    call     BLOB NOT NULL,
    at       INTEGER NOT NULL,
    tool     INTEGER NOT NULL,
    risk     INTEGER NOT NULL,
    verdict  INTEGER NOT NULL,
    executed INTEGER NOT NULL,
    rule     INTEGER,
    status   INTEGER NOT NULL,
    subject  BLOB,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_by_call ON calls (call);

-- The arguments of calls, as canonical JSON, where the policy says `record: arguments`.
CREATE TABLE arguments (
    call BLOB PRIMARY KEY,          -- the call's id
    args TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Which runs touched which business object. Subjects come in random order, and a random insert into a big index costs ten times an ordered one; so the index
-- is cut into eras of 65,536 entries, of which only the newest is written. A search looks into each. The columns are in an order in which the newest run of
-- each tool and workflow is one step away, however many runs touched the object.
CREATE TABLE touched (
    era      INTEGER NOT NULL,
    subject  BLOB NOT NULL,
    executed INTEGER NOT NULL,      -- 0 if no call of that tool was forwarded
    risk     INTEGER NOT NULL,
    workflow INTEGER NOT NULL,      -- names.id
    tool     INTEGER NOT NULL,      -- names.id
    run      INTEGER NOT NULL,      -- runs.id
    PRIMARY KEY (era, subject, executed, risk, workflow, tool, run)
) STRICT, WITHOUT ROWID;

-- What went wrong with runs, and who says so.
CREATE TABLE charges (
    run          INTEGER NOT NULL,  -- runs.id
    n            INTEGER NOT NULL,  -- from 1, in the order they became known
    mode         INTEGER NOT NULL,  -- names.id
    source       INTEGER NOT NULL,  -- 0 wire, 1 agent, 2 person, 3 system
    by           TEXT,              -- who says so
    call         BLOB,              -- the call it was seen on
    tool         INTEGER,           -- names.id
    note         TEXT,
    reference    TEXT,              -- the reporter's own reference: the same one twice is one report
    at           INTEGER NOT NULL,  -- when it became known
    counts       INTEGER NOT NULL,  -- 1 if the objective counted this mode as unacceptable then
    retracted    INTEGER,           -- when it was taken back
    retracted_by TEXT,
    PRIMARY KEY (run, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX charges_by_mode ON charges (mode, run);
CREATE INDEX charges_by_reference ON charges (reference) WHERE reference IS NOT NULL;

-- Runs that an operator took out of the budget. A run that came back has no row here; the journal tells the story.
CREATE TABLE exclusions (
    run       INTEGER PRIMARY KEY,  -- runs.id
    reason    TEXT NOT NULL,
    reference TEXT,                 -- what it can be put back by, with others of the same
    by        TEXT NOT NULL,
    at        INTEGER NOT NULL
) STRICT;
CREATE INDEX exclusions_by_reference ON exclusions (reference) WHERE reference IS NOT NULL;

-- Runs of an import that is not finished: they count nowhere, and nobody finds them. Empty, unless an import is on or one broke off; the next one clears it.
CREATE TABLE importing (
    run INTEGER PRIMARY KEY,        -- runs.id
    era INTEGER NOT NULL            -- of touched, when it was written
) STRICT;
-- Finished runs that were drawn for people to judge, and what became of that. A run is drawn at most once, when it ends.
CREATE TABLE checks (
    run      INTEGER PRIMARY KEY,   -- runs.id
    workflow INTEGER NOT NULL,      -- names.id
    risk     INTEGER NOT NULL,      -- of its riskiest executed call
    drawn    INTEGER NOT NULL,      -- when it was drawn
    state    INTEGER NOT NULL,      -- 0 waiting, 1 accepted, 2 reported, 3 left the full queue unchecked, 4 excluded
    by       TEXT,                  -- who judged it, where somebody did
    judged   INTEGER                -- when it left the queue
) STRICT;
CREATE INDEX checks_waiting ON checks (workflow, risk, run) WHERE state = 0;
CREATE INDEX checks_by_week ON checks (workflow, drawn);

CREATE VIEW run_list AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', (r.id >> 21) / 1000.0, 'unixepoch') AS booked_at,
       w.name AS workflow, a.name AS agent, coalesce(r.run, 'call_' || lower(hex(r.call))) AS run,
       CASE r.mark WHEN 0 THEN 'idle' WHEN 1 THEN 'acceptable' WHEN 2 THEN 'unacceptable' ELSE 'excluded' END AS mark,
       r.high, r.more + (r.call IS NOT NULL) AS calls,
       (SELECT group_concat(m.name, ' ') FROM charges c JOIN names m ON m.id = c.mode WHERE c.run = r.id AND c.retracted IS NULL) AS modes,
       strftime('%Y-%m-%dT%H:%M:%fZ', ((r.id >> 21) - r.began) / 1000.0, 'unixepoch') AS started,
       strftime('%Y-%m-%dT%H:%M:%fZ', ((r.id >> 21) + r.ended) / 1000.0, 'unixepoch') AS ended,
       r.id AS id
FROM runs r JOIN names w ON w.id = r.workflow JOIN names a ON a.id = r.agent WHERE r.id NOT IN (SELECT run FROM importing);

CREATE VIEW call_list AS
SELECT 'call_' || lower(hex(c.call)) AS call, strftime('%Y-%m-%dT%H:%M:%fZ', ((r.id >> 21) - r.began + c.at) / 1000.0, 'unixepoch') AS at,
       t.name AS tool,
       CASE c.risk WHEN 0 THEN 'read' WHEN 1 THEN 'low' WHEN 2 THEN 'medium' ELSE 'high' END AS risk,
       CASE c.verdict WHEN 0 THEN 'allow' WHEN 1 THEN 'hold' ELSE 'deny' END AS verdict,
       CASE c.executed WHEN 0 THEN 'no' WHEN 1 THEN 'yes' ELSE 'unknown' END AS executed,
       (SELECT name FROM names WHERE id = c.rule) AS rule, c.status, lower(hex(c.subject)) AS subject, c.run AS run_id
FROM (SELECT id AS run, call, at, tool, risk, verdict, executed, rule, status, subject FROM runs WHERE call IS NOT NULL AND tool IS NOT NULL
      UNION ALL SELECT run, call, at, tool, risk, verdict, executed, rule, status, subject FROM calls) c
     JOIN runs r ON r.id = c.run JOIN names t ON t.id = c.tool;

CREATE VIEW charge_list AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', c.at / 1000.0, 'unixepoch') AS at, m.name AS mode,
       CASE c.source WHEN 0 THEN 'wire' WHEN 1 THEN 'agent' WHEN 2 THEN 'person' ELSE 'system' END AS source,
       c.by, c.counts, 'call_' || lower(hex(c.call)) AS call, c.note, c.reference,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.retracted / 1000.0, 'unixepoch') AS retracted, c.retracted_by, c.run AS run_id
FROM charges c JOIN names m ON m.id = c.mode;

CREATE VIEW check_list AS
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', k.drawn / 1000.0, 'unixepoch') AS drawn, w.name AS workflow,
       CASE k.risk WHEN 0 THEN 'read' WHEN 1 THEN 'low' WHEN 2 THEN 'medium' ELSE 'high' END AS risk,
       CASE k.state WHEN 0 THEN 'waiting' WHEN 1 THEN 'accepted' WHEN 2 THEN 'reported' WHEN 3 THEN 'unchecked' ELSE 'excluded' END AS state,
       k.by, strftime('%Y-%m-%dT%H:%M:%fZ', k.judged / 1000.0, 'unixepoch') AS judged, k.run AS run_id
FROM checks k JOIN names w ON w.id = k.workflow;

CREATE VIEW journal_list AS
SELECT seq, strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS at, workflow, kind, body, lower(hex(hash)) AS hash FROM journal;
