//! Bodies of answers, whole and otherwise.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

/// How long a slow peer takes over a byte.
const DROP: Duration = Duration::from_millis(20);

/// A body.
pub(super) enum Answer {
    /// It comes in one piece.
    Whole(Option<Bytes>),
    /// The connection ends after this.
    CutOff(Option<Bytes>),
    /// Blanks, one after the other, and no end.
    Dripping(Pin<Box<Sleep>>),
}

impl Answer {
    pub(super) fn whole(text: String) -> Self {
        Self::Whole(Some(text.into()))
    }

    pub(super) fn dripping() -> Self {
        Self::Dripping(Box::pin(sleep(DROP)))
    }
}

type Next = Option<Result<Frame<Bytes>, io::Error>>;

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Next> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::CutOff(bytes) => Poll::Ready(Some(match bytes.take() {
                Some(bytes) => Ok(Frame::data(bytes)),
                None => Err(io::Error::other("it is cut off, as it should be")),
            })),
            Self::Dripping(pause) => {
                std::task::ready!(pause.as_mut().poll(context));
                *pause = Box::pin(sleep(DROP));
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::CutOff(_) | Self::Dripping(_) => SizeHint::default(),
        }
    }
}

/// A connection has no errors that anybody waits for.
pub(super) type Answered = Result<hyper::Response<Answer>, Infallible>;
