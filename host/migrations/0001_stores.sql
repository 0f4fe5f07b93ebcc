-- One set for SQLite and PostgreSQL. Instants are seconds since the Unix epoch, truth values 0 and 1.
-- What rests sealed has the id of its key beside it, in key_id.

create table encryption_keys (
    id         text   not null primary key,
    proof      text   not null,             -- a known text, sealed with this key
    created_at bigint not null
);

-- Users as the host knows them: an identity provider says who they are, this table says whether
-- they may still come in.
create table users (
    id           text   not null primary key,
    display_name text,
    email        text,
    identity     text   not null,           -- as last established, as JSON
    current_org  text   not null,
    created_at   bigint not null,
    seen_at      bigint not null,
    disabled_at  bigint                     -- null: not disabled
);

create table org_members (
    org_id     text   not null,
    user_id    text   not null references users (id),
    role       text   not null,
    created_at bigint not null,
    primary key (org_id, user_id)
);
create index org_members_by_user on org_members (user_id);

create table sessions (
    id_hash        text   not null primary key,   -- SHA-256 of what the cookie holds
    user_id        text   not null references users (id),
    key_id         text   not null references encryption_keys (id),
    sealed         text   not null,
    refresh_at     bigint,
    idp_session_id text,                          -- by which a back-channel log-out names it
    created_at     bigint not null,
    seen_at        bigint not null,
    expires_at     bigint not null
);
create index sessions_by_user on sessions (user_id);
create index sessions_by_expiry on sessions (expires_at);
create index sessions_by_visit on sessions (seen_at);
create index sessions_by_idp on sessions (idp_session_id);
create index sessions_by_key on sessions (key_id);

create table api_keys (
    id           text   not null primary key,     -- part of the key's text
    org_id       text   not null,
    user_id      text   not null references users (id),
    name         text   not null,
    hash         text   not null unique,          -- SHA-256 of the key's text
    display      text   not null,                 -- how the text begins
    scopes       text   not null,                 -- with blanks between
    bound        bigint not null,                 -- 1: acts for org_id only
    system       bigint not null,                 -- 1: made by the host for its own use
    key_id       text   references encryption_keys (id), -- of system keys
    sealed       text,                            -- of system keys: the text
    created_at   bigint not null,
    not_before   bigint,
    expires_at   bigint,
    last_used_at bigint
);
create index api_keys_by_owner on api_keys (user_id, org_id);
create unique index api_keys_system on api_keys (user_id, org_id, name) where system = 1;
create index api_keys_by_key on api_keys (key_id);

-- How often a user's secrets in an organisation have changed.
create table secret_sets (
    org_id  text   not null,
    user_id text   not null references users (id),
    version bigint not null,
    primary key (org_id, user_id)
);

create table secrets (
    org_id      text   not null,
    user_id     text   not null references users (id),
    name        text   not null,
    key_id      text   not null references encryption_keys (id),
    value       text   not null,                  -- sealed
    description text,                             -- sealed
    version     bigint not null,                  -- of the set, when this was written
    created_at  bigint not null,
    updated_at  bigint not null,
    primary key (org_id, user_id, name)
);
create index secrets_by_key on secrets (key_id);

create table settings (
    org_id     text   not null,
    user_id    text   not null references users (id),
    document   text   not null,                   -- JSON without its secrets
    version    bigint not null,
    updated_at bigint not null,
    primary key (org_id, user_id)
);

create table setting_secrets (
    org_id  text not null,
    user_id text not null references users (id),
    pointer text not null,                        -- where in the document (RFC 6901)
    key_id  text not null references encryption_keys (id),
    value   text not null,                        -- sealed
    primary key (org_id, user_id, pointer)
);
create index setting_secrets_by_key on setting_secrets (key_id);

create table tokens (
    user_id            text   not null references users (id),
    name               text   not null,
    key_id             text   not null references encryption_keys (id),
    access             text,                      -- sealed
    refresh            text,                      -- sealed
    access_expires_at  bigint,                    -- null: never
    refresh_expires_at bigint,                    -- null: never
    host               text,
    account_id         text,
    state              text   not null,           -- active or reconnect
    reason             text,                      -- of reconnect
    stored_at          bigint not null,
    primary key (user_id, name)
);
create index tokens_by_key on tokens (key_id);

-- The sole right to renew something, for a while.
create table leases (
    resource text   not null primary key,
    holder   text   not null,
    until_at bigint not null,
    rotating bigint not null                      -- 1: something that works once may be used up
);

create table sandboxes (
    id               text   not null primary key,
    org_id           text   not null,
    user_id          text   not null references users (id),
    session_key_hash text   not null unique,      -- SHA-256 of the session key
    status           text   not null,             -- running or paused
    created_at       bigint not null,
    updated_at       bigint not null
);
create index sandboxes_by_owner on sandboxes (user_id, org_id);

create table audit (
    id              text   not null primary key,  -- in the order of time
    at              bigint not null,
    actor           text,                         -- a user's id
    org_id          text,
    action          text   not null,
    target          text,
    outcome         text   not null,
    reason          text,
    strategy_digest text,
    request_id      text
);
create index audit_by_actor on audit (actor, at);

-- Rows that were taken over from elsewhere, by their digest: what became of them here since is
-- nobody's mistake.
create table imported (
    source_row text   not null primary key,
    at         bigint not null
);
