-- Provider tokens that were renewed for a conversation, as they were handed to it.
create table conversation_tokens (
    user_id         text   not null references users (id),
    conversation_id text   not null,
    provider        text   not null,
    key_id          text   not null references encryption_keys (id),
    token           text   not null,              -- sealed
    host            text,
    account_id      text,
    expires_at      bigint,                       -- null: never
    refreshed_at    bigint not null,
    primary key (user_id, conversation_id, provider)
);
create index conversation_tokens_by_key on conversation_tokens (key_id);
