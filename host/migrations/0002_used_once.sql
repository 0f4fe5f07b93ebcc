-- What works once and was used: the anti-forgery value of a log-in that has come back, for instance.
create table used_once (
    digest   text   not null primary key,
    until_at bigint not null               -- from then on it would be refused for its age
);
create index used_once_by_end on used_once (until_at);
