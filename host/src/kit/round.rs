//! Every export, called once around in front of a peer in one mood.

use std::cell::Cell;

use super::{
    Pass,
    mood::{Mood, Start},
    tally::Tally,
};
use crate::{
    engine::{Decision, Renewal, Renewing},
    identity::{
        Credential, Identity, LoginState, PresentedKey, PresentedSession, Refusal, Request,
        RequestId, Scheme, SessionContent, UserId,
    },
};

/// The value of every header that a strategy asks for.
const HEADER: &str = "vestibule-kit";

/// What a good round has left behind, for the others.
#[derive(Default)]
pub(super) struct Known {
    pub(super) identity: Option<Identity>,
    pub(super) session: Option<SessionContent>,
    /// What a log-in left for its second half.
    pub(super) kept: Option<LoginState>,
}

impl Known {
    /// Who the calls are about.
    pub(super) fn user(&self) -> UserId {
        let known = self.identity.as_ref().and_then(|who| who.user_id.clone());
        known.unwrap_or_else(|| {
            UserId::new("1000001").unwrap_or_else(|_| unreachable!("digits are an id"))
        })
    }

    /// As the host last saw them.
    pub(super) fn identity(&self) -> Identity {
        let user_id = Some(self.user());
        self.identity.clone().unwrap_or(Identity { user_id, ..Identity::default() })
    }
}

/// One time around.
pub(super) struct Round<'a> {
    pub(super) pass: &'a Pass,
    pub(super) mood: Mood,
    /// How often something was asked, so that requests have ids of their own.
    number: Cell<u64>,
}

impl<'a> Round<'a> {
    pub(super) fn new(pass: &'a Pass, mood: Mood) -> Self {
        Self { pass, mood, number: Cell::new(0) }
    }

    /// Calls every export; what is known makes up for what this peer denies.
    pub(super) async fn play(&self, tally: &mut Tally, known: &Known) -> Known {
        let mut learnt = Known::default();
        if self.pass.strategy.description().log_in.is_some() {
            self.log_in(tally, known, &mut learnt).await;
        }
        let known = if self.mood == Mood::Good { &learnt } else { known };
        self.requests(tally, known).await;
        self.renewal(tally, known).await;
        self.tokens(tally, known).await;
        self.restore(tally, known).await;
        self.log_out(tally, known).await;
        learnt
    }

    pub(super) fn id(&self) -> RequestId {
        self.number.set(self.number.get() + 1);
        RequestId::new(self.number.get())
    }

    /// The row of a call, after the peer was told of it.
    pub(super) fn row(&self, export: &str) -> String {
        self.pass.peer.desk.turn(self.mood, None);
        format!("{export}: {}", self.mood.word())
    }

    /// The circumstances, for a note.
    pub(super) fn told(&self) -> String {
        match self.mood {
            Mood::Good => "good".to_owned(),
            Mood::Hostile(kind, Start::AtOnce) => format!("{kind:?}"),
            Mood::Hostile(kind, Start::Later) => format!("{kind:?} after a good answer"),
            Mood::Slow(slowness) => format!("{slowness:?}"),
        }
    }

    async fn requests(&self, tally: &mut Tally, known: &Known) {
        let odd = SessionContent { data: b"\xff\0odd".to_vec(), ..SessionContent::default() };
        for header in [None, Some(HEADER)] {
            let presented = |content: &SessionContent| {
                let content = content.clone();
                Credential::Session(Box::new(PresentedSession { user: known.user(), content }))
            };
            let bearer = self.pass.canaries.secret("bearer token");
            let mut credentials =
                vec![Credential::Absent, key_of(known.identity()), Credential::Bearer(bearer)];
            credentials.extend(known.session.iter().chain([&odd]).map(presented));
            for credential in credentials {
                let row = self.row("authenticate");
                let asked = self.pass.strategy.authenticate(self.request(credential, header));
                let _: Result<Decision, _> = tally.observe(&row, &self.told(), asked).await;
            }
        }
    }

    /// A request with this in each header that the strategy wants.
    pub(super) fn request<'r>(
        &self,
        credential: Credential,
        header: Option<&'r str>,
    ) -> Request<'r> {
        let wanted = &self.pass.strategy.description().headers;
        Request {
            method: "GET",
            scheme: Scheme::Https,
            host: "app.example.com",
            path: "/",
            query: None,
            client_address: None,
            credential,
            headers: wanted.iter().map(|_| header).collect(),
            id: self.id(),
        }
    }

    async fn renewal(&self, tally: &mut Tally, known: &Known) {
        let Some(content) = known.session.as_ref().filter(|session| session.refresh_at.is_some())
        else {
            return;
        };
        let Pass { strategy, store, .. } = self.pass;
        let leased = async {
            let begun = store.begin_session(&known.user(), content, &[], None).await?;
            let Some(session) = store.session(&begun.key).await? else { return Ok(None) };
            store.lease_session(&session, super::WALL).await.map(Some)
        };
        let lease = match leased.await {
            Ok(Some(lease)) => lease,
            // It has run out, and is nobody's any more.
            Ok(None) => return,
            Err::<_, crate::store::StoreError>(error) => {
                return tally.check("renewal").fail(format!("no session can be renewed: {error}"));
            }
        };
        let row = self.row("authenticate, to renew");
        let content = content.clone();
        let session = PresentedSession { user: known.user(), content };
        let request = self.request(Credential::Session(Box::new(session)), None);
        let mut given_back = None;
        let renewed = async {
            let (answer, Renewing { lease, .. }) = strategy.renew(request, lease.into()).await;
            given_back = Some(lease);
            answer
        };
        let _: Result<Decision, _> = tally.observe(&row, &self.told(), renewed).await;
        if let Some(lease) = given_back {
            // A renewal that was begun and not saved ends the session, which is its due.
            let _ = lease.release().await;
        }
    }

    async fn tokens(&self, tally: &mut Tally, known: &Known) {
        let Pass { strategy, .. } = self.pass;
        let user = known.user();
        for user in [Some(&user), None] {
            for provider in &strategy.description().providers {
                for renewal in [Renewal::WhenDue, Renewal::Now] {
                    let row = self.row("get-token");
                    let asked = strategy.provider_token(user, provider, renewal, self.id());
                    let _ = tally.observe(&row, &self.told(), asked).await;
                }
            }
            let row = self.row("list-tokens");
            let listed = async {
                let listed = strategy.provider_tokens(user, self.id()).await?;
                Ok(Ok::<_, Refusal>(listed))
            };
            let _ = tally.observe(&row, &self.told(), listed).await;
            let name = strategy.description().providers.first();
            let name = name.map_or("vestibule-kit", String::as_str);
            let row = self.row("revoke-token");
            let revoked = strategy.revoke_provider_token(user, name, self.id());
            let _ = tally.observe(&row, &self.told(), revoked).await;
        }
    }

    async fn restore(&self, tally: &mut Tally, known: &Known) {
        let (user, identity) = (known.user(), known.identity());
        for (user, last_known) in
            [(Some(&user), Some(&identity)), (Some(&user), None), (None, None)]
        {
            let row = self.row("restore");
            let restored = self.pass.strategy.restore(user, last_known, self.id());
            let restored = tally.observe(&row, &self.told(), restored).await;
            if restored.is_ok_and(|restored| restored.user_id.as_ref() != user) {
                tally.check("a foreign user is never given").fail(format!(
                    "restore answers with another user than it was asked about ({})",
                    self.told()
                ));
            }
        }
    }

    async fn log_out(&self, tally: &mut Tally, known: &Known) {
        let Pass { strategy, peer, canaries, .. } = self.pass;
        if let Some(content) = &known.session {
            let session = PresentedSession { user: known.user(), content: content.clone() };
            let row = self.row("login.log-out");
            let left = strategy.log_out(&session, "http://localhost:3000/", self.id());
            let _ = tally.observe(&row, &self.told(), left).await;
        }
        for token in [peer.desk.log_out_token("vestibule-kit"), canaries.make("log out token")] {
            let row = self.row("login.back-channel");
            let ended = strategy.back_channel(token.into(), self.id());
            let _ = tally.observe(&row, &self.told(), ended).await;
        }
    }
}

/// A key of this owner's.
pub(super) fn key_of(owner: Identity) -> Credential {
    Credential::ApiKey(Box::new(PresentedKey {
        id: "kit".to_owned(),
        org_id: None,
        name: "kit".to_owned(),
        system: false,
        scopes: vec!["full".to_owned()],
        owner,
    }))
}
