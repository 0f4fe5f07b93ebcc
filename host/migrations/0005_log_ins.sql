-- Log-ins on a further trip to an identity provider that carry more than a cookie holds. Only who
-- has come back from a first trip has one, for ten minutes.
create table log_ins (
    state_hash text   not null primary key,       -- SHA-256 of the anti-forgery value
    key_id     text   not null references encryption_keys (id),
    sealed     text   not null,
    until_at   bigint not null
);
create index log_ins_by_end on log_ins (until_at);
create index log_ins_by_key on log_ins (key_id);
