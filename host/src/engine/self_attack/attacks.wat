;; Every way in which a component may want too much, one export each. Each attack
;; ends by itself, so that a limit which does not bite is seen and not waited for.
(component
  (import "vestibule:auth/log@0.1.0" (instance $log
    (type $a-level (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $a-level)))
    (type $a-field (record (field "name" string) (field "value" string)))
    (export "field" (type $field (eq $a-field)))
    (type $fields (list $field))
    (export "write"
      (func (param "level" $level) (param "message" string) (param "fields" $fields)))))
  (import "vestibule:auth/secrets@0.1.0" (instance $secrets
    (export "secret" (type $secret (sub resource)))
    (type $an-error (variant (case "not-declared" string)))
    (export "secret-error" (type $error (eq $an-error)))
    (type $found (option (own $secret)))
    (type $answer (result $found (error $error)))
    (export "configured" (func (param "name" string) (result $answer)))
    (export "[method]secret.fingerprint"
      (func (param "self" (borrow $secret)) (result string)))))

  ;; What the functions below need to be there before them.
  (core module $room
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096)))
  (core instance $room (instantiate $room))
  (alias core export $room "memory" (core memory $memory))
  (alias core export $room "realloc" (core func $realloc))
  (core func $write (canon lower (func $log "write") (memory $memory)))
  (core func $configured
    (canon lower (func $secrets "configured") (memory $memory) (realloc $realloc)))
  (core func $fingerprint
    (canon lower (func $secrets "[method]secret.fingerprint")
      (memory $memory) (realloc $realloc)))

  (core module $attacks
    (import "room" "memory" (memory 1))
    (import "host" "write" (func $write (param i32 i32 i32 i32 i32)))
    (import "host" "configured" (func $configured (param i32 i32 i32)))
    (import "host" "fingerprint" (func $fingerprint (param i32 i32)))
    (table $table 1 funcref)

    ;; Address 0 holds an empty list, the answer of whoever is not stopped.
    (func (export "calm") (result i32) (i32.const 0))

    (func (export "spin") (result i32) (local $left i32)
      (local.set $left (i32.const 0x10000000))
      (loop $on
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $on (local.get $left)))
      (i32.const 0))

    (func $deeper (param $left i32) (result i32)
      (if (result i32) (local.get $left)
        (then
          (i32.add
            (call $deeper (i32.sub (local.get $left) (i32.const 1)))
            (local.get $left)))
        (else (i32.const 0))))
    (func (export "recurse") (result i32)
      (drop (call $deeper (i32.const 1000000)))
      (i32.const 0))

    (func (export "trap") (result i32) (unreachable))

    (func (export "grow-memory") (result i32)
      (if (i32.eq (memory.grow (i32.const 63)) (i32.const -1)) (then (unreachable)))
      (i32.const 0))

    (func (export "grow-table") (result i32)
      (if (i32.eq (table.grow $table (ref.null func) (i32.const 200000)) (i32.const -1))
        (then (unreachable)))
      (i32.const 0))

    ;; Four MiB of zeros, from address 0 on.
    (func (export "answer-much") (result i32)
      (if (i32.eq (memory.grow (i32.const 64)) (i32.const -1)) (then (unreachable)))
      (i32.store (i32.const 12) (i32.const 0x400000))
      (i32.const 8))

    (func (export "forge-handle") (result i32)
      (call $fingerprint (i32.const 12345) (i32.const 64))
      (i32.const 0))

    (func (export "hoard-handles") (result i32) (local $left i32)
      (i32.store8 (i32.const 32) (i32.const 97))
      (local.set $left (i32.const 1000))
      (loop $on
        (call $configured (i32.const 32) (i32.const 1) (i32.const 64))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $on (local.get $left)))
      (i32.const 0))

    (func (export "flood-log") (result i32) (local $left i32)
      (local.set $left (i32.const 1000))
      (loop $on
        (call $write
          (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (br_if $on (local.get $left)))
      (i32.const 0)))
  (core instance $attacks (instantiate $attacks
    (with "room" (instance $room))
    (with "host" (instance
      (export "write" (func $write))
      (export "configured" (func $configured))
      (export "fingerprint" (func $fingerprint))))))

  (func (export "calm") (result (list u8))
    (canon lift (core func $attacks "calm") (memory $memory)))
  (func (export "spin") (result (list u8))
    (canon lift (core func $attacks "spin") (memory $memory)))
  (func (export "recurse") (result (list u8))
    (canon lift (core func $attacks "recurse") (memory $memory)))
  (func (export "trap") (result (list u8))
    (canon lift (core func $attacks "trap") (memory $memory)))
  (func (export "grow-memory") (result (list u8))
    (canon lift (core func $attacks "grow-memory") (memory $memory)))
  (func (export "grow-table") (result (list u8))
    (canon lift (core func $attacks "grow-table") (memory $memory)))
  (func (export "answer-much") (result (list u8))
    (canon lift (core func $attacks "answer-much") (memory $memory)))
  (func (export "forge-handle") (result (list u8))
    (canon lift (core func $attacks "forge-handle") (memory $memory)))
  (func (export "hoard-handles") (result (list u8))
    (canon lift (core func $attacks "hoard-handles") (memory $memory)))
  (func (export "flood-log") (result (list u8))
    (canon lift (core func $attacks "flood-log") (memory $memory))))
