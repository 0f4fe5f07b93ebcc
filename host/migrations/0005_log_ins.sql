-- Log-ins on a further trip to an identity provider that carry more than a cookie holds. Only who
-- has come back from a first trip has one, for ten minutes; those are too few and too short-lived
-- to be sealed anew, and have the id of their key within.
create table log_ins (
    state_hash text   not null primary key,       -- SHA-256 of the anti-forgery value
    sealed     text   not null,
    until_at   bigint not null
);
create index log_ins_by_end on log_ins (until_at);
