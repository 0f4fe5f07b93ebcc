//! What no strategy may do, whatever its peer answers.

use std::mem;

use super::{
    Pass,
    mood::Mood,
    round::{Known, Round, key_of},
    tally::Tally,
};
use crate::{
    engine::{CallError, SessionSelector},
    identity::{Credential, Identity, Outcome, Refusal, RequestId, UserId},
};

/// How often each bad credential is presented.
const TIMES: usize = 3;

/// Holds a strategy to what it may not do.
pub(super) async fn credentials(pass: &Pass, tally: &mut Tally, known: &Known) {
    let round = Round::new(pass, Mood::Good);
    pass.peer.desk.turn(Mood::Good, None);
    bearers(pass, &round, tally).await;
    log_out_tokens(pass, tally).await;
    foreigners(pass, &round, tally, known).await;
}

async fn bearers(pass: &Pass, round: &Round<'_>, tally: &mut Tally) {
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMDAwMDAxIn0.";
    let bad = [pass.canaries.make("bearer token"), "a.b.c".to_owned(), unsigned.to_owned()];
    let row = "bad credentials are refused, each time alike";
    tally.check(row);
    for token in bad {
        let mut first: Option<mem::Discriminant<Refusal>> = None;
        for _ in 0..TIMES {
            let request = round.request(Credential::Bearer(token.clone().into()), None);
            let answer = pass.strategy.authenticate(request).await;
            let check = tally.check(row);
            check.calls += 1;
            match answer {
                Ok(Ok(_)) => check.fail("a bearer token that nobody issued is good".to_owned()),
                Ok(Err(refusal)) => {
                    let this = mem::discriminant(&refusal);
                    if *first.get_or_insert(this) != this {
                        check.fail(format!("the same token is refused in two ways: {refusal}"));
                    }
                }
                Err(error) => check.fail(error.to_string()),
            }
        }
    }
}

async fn log_out_tokens(pass: &Pass, tally: &mut Tally) {
    let row = "a log-out token that nobody issued ends no session";
    for token in [pass.canaries.make("log out token"), "a.b.c".to_owned()] {
        let ended = pass.strategy.back_channel(token.into(), RequestId::new(0)).await;
        let check = tally.check(row);
        check.calls += 1;
        match ended {
            Ok(Ok(sessions)) if !sessions.is_empty() => {
                let whose: Vec<&SessionSelector> = sessions.iter().collect();
                check.fail(format!("it ends {whose:?}"));
            }
            Ok(_) => {}
            Err(error) => check.fail(error.to_string()),
        }
    }
}

/// A key and a restored identity are those of the user who was asked about.
async fn foreigners(pass: &Pass, round: &Round<'_>, tally: &mut Tally, known: &Known) {
    let row = "a foreign user is never given";
    tally.check(row);
    let Ok(other) = UserId::new("somebody-else") else { return };
    let owner = Identity { user_id: Some(other.clone()), ..known.identity() };
    let asked = round.request(key_of(owner), Some("vestibule-kit"));
    let answer = pass.strategy.authenticate(asked).await;
    let check = tally.check(row);
    check.calls += 1;
    match answer {
        Err(error @ CallError::MalformedOutput(_)) => check.fail(error.to_string()),
        Ok(Ok(decision)) => {
            if let Outcome::Authenticated(who) = decision.outcome
                && who.user_id.as_ref() != Some(&other)
            {
                check.fail("a key is given to another user than its owner".to_owned());
            }
        }
        _ => {}
    }
    for last_known in [Some(known.identity()), None] {
        let restored =
            pass.strategy.restore(Some(&other), last_known.as_ref(), RequestId::new(0)).await;
        let check = tally.check(row);
        check.calls += 1;
        match restored {
            Ok(Ok(who)) if who.user_id.as_ref() != Some(&other) => {
                check.fail("restore answers with another user than it was asked about".to_owned());
            }
            Err(error) => check.fail(error.to_string()),
            _ => {}
        }
    }
}
