-- What browsers are known by at the hosts of apps. It ends with the session that it hangs on.
create table app_sessions (
    session    text   not null references sessions (id_hash) on delete cascade,
    host       text   not null,
    id_hash    text   not null unique,            -- SHA-256 of what the cookie holds
    created_at bigint not null,
    primary key (session, host)
);

-- Keys that sign who is calling, for apps.
create table signing_keys (
    id          text   not null primary key,
    key_id      text   not null references encryption_keys (id),
    sealed      text   not null,                  -- the private key
    active_from bigint not null                   -- from then on it signs, until the next one does
);
create index signing_keys_by_key on signing_keys (key_id);
