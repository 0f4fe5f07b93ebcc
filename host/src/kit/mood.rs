//! How a peer answers.

/// How the peer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// As it should.
    Good,
    /// In this way, from this request of a call on.
    Hostile(Kind, Start),
    /// Hardly.
    Slow(Slowness),
}

/// From which request of a call on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The first one.
    AtOnce,
    /// The second one: a log-in has its tokens by then.
    Later,
}

impl Start {
    pub(super) const ALL: [Self; 2] = [Self::AtOnce, Self::Later];
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// 404 and a page.
    NotFound,
    /// 500 and a page.
    Broken,
    /// 502 in the middle of a page.
    BadGateway,
    /// 429 with a `Retry-After` of a day.
    TooMany,
    /// 401 and an OAuth error.
    InvalidClient,
    /// 400 and an OAuth error.
    InvalidGrant,
    /// 200 and a page of somebody else's.
    Page,
    /// 200 and nothing.
    Empty,
    /// 200 and half of the document.
    Half,
    /// 200, and the connection ends in the middle.
    CutOff,
    /// 200 and more than anybody reads.
    Huge,
    /// 200 and brackets within brackets.
    Deep,
    /// 302 to elsewhere.
    Redirect,
    /// 200 and a list.
    List,
    /// 200, and everything is null.
    Nulls,
    /// 200, and every value has another type.
    WrongTypes,
    /// 200, and every number is out of all bounds.
    WrongNumbers,
    /// 200, and names that are too long or drive a terminal.
    LongTexts,
    /// 200, from another issuer, for another client, with another nonce and key.
    Impostor,
}

/// Everything that can be wrong.
pub(super) const KINDS: [Kind; 19] = [
    Kind::NotFound,
    Kind::Broken,
    Kind::BadGateway,
    Kind::TooMany,
    Kind::InvalidClient,
    Kind::InvalidGrant,
    Kind::Page,
    Kind::Empty,
    Kind::Half,
    Kind::CutOff,
    Kind::Huge,
    Kind::Deep,
    Kind::Redirect,
    Kind::List,
    Kind::Nulls,
    Kind::WrongTypes,
    Kind::WrongNumbers,
    Kind::LongTexts,
    Kind::Impostor,
];

impl Kind {
    /// Whether there is nothing in such an answer that a log-in could rest on.
    pub(super) fn says_nothing(self) -> bool {
        !matches!(self, Self::WrongTypes | Self::WrongNumbers | Self::LongTexts | Self::Impostor)
    }
}

/// How slow the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slowness {
    /// It takes the request and says nothing.
    Silent,
    /// It says one byte after the other.
    Dripping,
}

/// Both ways.
pub(super) const SLOW: [Slowness; 2] = [Slowness::Silent, Slowness::Dripping];

impl Mood {
    /// A word for a row of the table.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Good => "good answers",
            Self::Hostile(..) => "hostile answers",
            Self::Slow(_) => super::tally::SLOW,
        }
    }
}
