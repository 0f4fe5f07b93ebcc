//! One function a misdeed; those that end answer with the identity `visitor`.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use vestibule_sdk::{
    Claim, Decision, Error, Identity, Session, SessionChange, clock, log, random, secrets, settings,
};

const MIB: usize = 1024 * 1024;

/// Behaves as told.
pub(crate) fn behave(how: &str) -> Result<Decision, Error> {
    let identity = match how {
        "ok" => visitor(),
        "spin" => spin(),
        "recurse" => claims([("depth", recurse(0).to_string())]),
        "bomb" => bomb(),
        "huge-list" => huge_list(),
        "huge-string" => huge_string(),
        "log-flood" => log_flood(),
        "log-inject" => log_inject(),
        "trap" => panic!("panics while it decides, as told"),
        "unreachable" => unreachable(),
        "random-flood" => random_flood(),
        "random" => draw(),
        "random-too-much" => draw_too_much(),
        "memory" => memory(),
        "linger" => linger(),
        "no-user" => Identity::local_owner(),
        "bad-claims" => claims(vec![("claim", String::new()); 100_000]),
        "session-without-credential" => return Ok(plant_session()),
        "remember" => remember(),
        "secret-probe" => secret_probe(),
        "settings" => claims([("settings", settings::all())]),
        "clock" => claims([("now", clock::now().to_string())]),
        other => return Err(Error::internal(format!("does not know how to {other}"))),
    };
    Ok(Decision::authenticated(identity))
}

fn visitor() -> Identity {
    Identity::user("visitor")
}

/// What was found out, for the test to read.
pub(crate) fn claims(facts: impl IntoIterator<Item = (&'static str, String)>) -> Identity {
    Identity {
        claims: facts.into_iter().map(|(name, value)| Claim::new(name, value)).collect(),
        ..visitor()
    }
}

fn spin() -> ! {
    loop {
        black_box(());
    }
}

/// Goes deeper until there is no stack: neither the loop nor the frame can be
/// optimised away.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    if black_box(true) { recurse(depth + 1) + black_box(frame)[0] } else { depth }
}

fn bomb() -> ! {
    let mut hoard = Vec::new();
    loop {
        // Not zeros, which need not be written to be there.
        hoard.push(black_box(vec![1_u8; MIB]));
    }
}

/// Empty texts, so that it is the list which is too long and not the memory
/// which is too small.
fn huge_list() -> Identity {
    Identity { roles: vec![String::new(); 1_000_000], ..visitor() }
}

/// As large a name as memory allows.
fn huge_string() -> Identity {
    let mut name = String::new();
    let mut size = 64 * MIB;
    while name.try_reserve_exact(size).is_err() {
        size /= 2;
    }
    name.extend(std::iter::repeat_n('x', size));
    Identity { display_name: Some(name), ..visitor() }
}

fn log_flood() -> Identity {
    for line in 0..100_000_u32 {
        log::info("flood", &[("line", &line.to_string())]);
    }
    visitor()
}

fn log_inject() -> Identity {
    log::warn(
        "harmless\nINFO forged line\u{1b}[31m red\u{7}",
        &[("field\nname\u{1b}[2J", "value\r\nERROR forged\u{1b}]0;title\u{7}")],
    );
    visitor()
}

#[cfg(target_family = "wasm")]
fn unreachable() -> ! {
    std::arch::wasm32::unreachable()
}

#[cfg(not(target_family = "wasm"))]
fn unreachable() -> ! {
    std::process::abort()
}

fn random_flood() -> ! {
    loop {
        black_box(random::bytes(4096));
    }
}

/// As much as may be drawn at once, and a little by either way.
fn draw() -> Identity {
    claims([
        ("bytes", format!("{:02x?}", random::bytes(16))),
        ("number", random::number().to_string()),
        ("most", random::bytes(4096).len().to_string()),
        ("none", random::bytes(0).len().to_string()),
    ])
}

fn draw_too_much() -> Identity {
    claims([("length", random::bytes(4097).len().to_string())])
}

/// How many pages of memory there are after ever larger appetites.
fn memory() -> Identity {
    let at_first = pages();

    // What a call usually does: many small pieces, some of them soon given back,
    // and one that grows until it is large.
    let mut pieces: Vec<_> = (0..24).map(|_| black_box(vec![1_u8; 1024])).collect();
    pieces.truncate(black_box(12));
    let mut text = String::new();
    while text.len() < 12 * 1024 {
        text.push_str(black_box("text "));
    }
    drop(black_box((pieces, text)));
    let after_small_pieces = pages();

    drop(black_box(vec![1_u8; 60 * 1024]));
    let after_60_kib = pages();

    let mebibyte = black_box(vec![1_u8; MIB]);
    let sum: usize = mebibyte.iter().map(|&byte| usize::from(byte)).sum();
    claims([
        ("at-first", at_first.to_string()),
        ("after-small-pieces", after_small_pieces.to_string()),
        ("after-60-kib", after_60_kib.to_string()),
        ("after-1-mib", pages().to_string()),
        ("sum", sum.to_string()),
    ])
}

#[cfg(target_family = "wasm")]
fn pages() -> usize {
    std::arch::wasm32::memory_size(0)
}

#[cfg(not(target_family = "wasm"))]
fn pages() -> usize {
    0
}

/// Says so, then takes its time: between one second and two.
fn linger() -> Identity {
    log::info("lingers", &[]);
    let end = clock::now() + 2;
    while clock::now() < end {
        black_box(());
    }
    visitor()
}

fn plant_session() -> Decision {
    Decision {
        session: SessionChange::Replace(Session::new(b"planted")),
        ..Decision::authenticated(visitor())
    }
}

/// Counts its calls where memory outlives one.
fn remember() -> Identity {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
    claims([("calls", calls.to_string())])
}

/// Asks for a secret that is not its own, and learns what it can of its own.
fn secret_probe() -> Identity {
    let undeclared = match secrets::configured("undeclared") {
        Ok(Some(_)) => "some".into(),
        Ok(None) => "none".into(),
        Err(error) => format!("{error:?}"),
    };
    let mut facts = vec![("undeclared", undeclared)];
    match secrets::configured("token") {
        Ok(Some(token)) => {
            facts.push(("token", "some".into()));
            facts.push(("equals", token.equals(&token).to_string()));
            facts.push(("fingerprint", token.fingerprint()));
        }
        Ok(None) => facts.push(("token", "none".into())),
        Err(error) => facts.push(("token", format!("{error:?}"))),
    }
    claims(facts)
}
