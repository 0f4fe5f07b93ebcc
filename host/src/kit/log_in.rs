//! A log-in from its first page to its last, in front of a peer in one mood.

use std::sync::Arc;

use super::{
    Pass,
    mood::{Mood, Start},
    round::{Known, Round},
    tally::Tally,
};
use crate::engine::{Attempt, Callback, LoginStep, SignedIn};

/// The most trips of one log-in.
const MAX_TRIPS: usize = 3;

/// Where browsers come back to.
const BACK: &str = "http://localhost:3000/auth/callback";

impl Round<'_> {
    /// Begins a log-in and comes back from each of its trips.
    pub(super) async fn log_in(&self, tally: &mut Tally, known: &Known, learnt: &mut Known) {
        let Pass { strategy, peer, canaries, .. } = self.pass;
        let nonce = format!("nonce-{:?}", self.id());
        let attempt = Attempt {
            redirect_uri: BACK,
            state: "state-of-the-kit",
            nonce: &nonce,
            code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        };
        let row = self.row("login.begin");
        let begun =
            tally.observe(&row, &self.told(), strategy.begin_login(attempt, None, self.id())).await;
        let (mut step, mut why) = match begun {
            Ok(step) => (Some(step), String::new()),
            Err(why) => (None, why),
        };
        if let (None, Some(kept)) = (&step, &known.kept)
            && let Ok(location) = BACK.parse()
        {
            step = Some(LoginStep::Redirect { location, kept: kept.clone() });
        }
        let mut trips = 0;
        while let Some(LoginStep::Redirect { kept, .. }) = step.take() {
            trips += 1;
            if trips > MAX_TRIPS {
                tally.check(&row).fail("a log-in goes on trip after trip".to_owned());
                return;
            }
            learnt.kept.get_or_insert_with(|| kept.clone());
            let row = self.row("login.complete");
            peer.desk.turn(self.mood, Some(&nonce));
            let callback = Callback {
                code: Some(canaries.secret("code")),
                verifier: Arc::new(canaries.secret("verifier")),
                nonce: &nonce,
                redirect_uri: BACK,
                parameters: &[],
                kept,
                next: attempt,
            };
            let completed = strategy.complete_login(callback, self.id());
            match tally.observe(&row, &self.told(), completed).await {
                Ok(next) => step = Some(next),
                Err(refusal) => why = refusal,
            }
            if let Mood::Hostile(kind, Start::AtOnce) = self.mood
                && kind.says_nothing()
                && peer.desk.count() > 0
                && matches!(step, Some(LoginStep::SignedIn(_)))
            {
                let what = format!("{kind:?}: somebody is let in by an answer that says nothing");
                tally.check(&row).fail(what);
            }
            if let Some(LoginStep::SignedIn(_)) = step {
                break;
            }
        }
        if self.mood == Mood::Good {
            let arrived = match step {
                Some(LoginStep::SignedIn(arrived)) => Ok(arrived),
                _ => Err(why),
            };
            self.arrive(tally, arrived, learnt).await;
        }
    }

    /// Stores what a good log-in has brought, as the host does.
    async fn arrive(
        &self,
        tally: &mut Tally,
        arrived: Result<Box<SignedIn>, String>,
        learnt: &mut Known,
    ) {
        let check = tally.check("a log-in with good answers lets somebody in");
        let arrived = match arrived {
            Ok(arrived) => *arrived,
            Err(why) => {
                check.skip(&format!("{why}; give settings by which they may: --settings FILE"));
                return;
            }
        };
        let Pass { store, .. } = self.pass;
        let stored = async {
            let user = store.establish_user(&arrived.identity).await?;
            store.begin_session(&user.id, &arrived.session, &arrived.tokens, None).await
        };
        if let Err(error) = stored.await {
            check.fail(format!("what it brought cannot be stored: {error}"));
        }
        (learnt.identity, learnt.session) = (Some(arrived.identity), Some(arrived.session));
    }
}
