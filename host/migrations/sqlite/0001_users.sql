-- Users as the host knows them: an identity provider says who they are, this
-- table says whether they may still come in.
create table users (
    id           text    primary key,
    org_id       text    not null,
    role         text    not null,             -- in the organisation
    display_name text,
    email        text,
    created_at   integer not null,             -- seconds since the Unix epoch
    disabled_at  integer                       -- null: not disabled
) strict;

-- The one user of a strategy without log-in.
insert into users (id, org_id, role, display_name, created_at)
values ('00000000-0000-4000-8000-000000000001',
        '00000000-0000-4000-8000-000000000002',
        'owner', 'Local owner', unixepoch());
