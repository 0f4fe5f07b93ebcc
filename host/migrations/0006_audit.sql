-- From where something was asked for, and a way to what is old.
alter table audit add column address text;
create index audit_by_time on audit (at);
