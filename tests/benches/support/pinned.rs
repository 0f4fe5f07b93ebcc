//! Servers on one core, and whoever loads them on another.

use std::{
    net::SocketAddr,
    sync::mpsc::{Sender, channel},
    thread,
};

use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use tokio::{net::TcpListener, runtime::Builder};

/// Where the servers run.
const SERVER_CORE: usize = 0;
/// Where the load is made.
pub(crate) const CLIENT_CORE: usize = 1;

/// A server that runs for as long as this process.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The id of its only thread.
    pub(crate) thread: i32,
}

/// Starts a server on a thread of its own, on the servers' core.
pub(crate) fn serve<F>(server: impl FnOnce(Sender<Server>) -> F + Send + 'static) -> Server
where
    F: Future<Output = std::io::Result<()>>,
{
    let (started, starting) = channel();
    thread::spawn(move || {
        pin(SERVER_CORE);
        // What it starts, such as the thread that keeps the time, stays there too.
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(server(started)).expect("the server serves");
    });
    starting.recv().expect("the server starts")
}

/// Says where a server listens.
pub(crate) fn tell(started: &Sender<Server>, listener: &TcpListener) {
    let address = listener.local_addr().expect("a listener has an address");
    started.send(Server { address, thread: own_thread() }).expect("somebody waits");
}

/// The id of this thread.
pub(crate) fn own_thread() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// Keeps this thread on a core.
pub(crate) fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("there are two cores");
}

/// How long a thread has run, in seconds.
pub(crate) fn on_cpu(thread: i32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
    let stat = stat.expect("the kernel keeps statistics of scheduling");
    let nanoseconds: u64 =
        stat.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    #[expect(clippy::cast_precision_loss, reason = "a benchmark takes minutes, not months")]
    let nanoseconds = nanoseconds as f64;
    nanoseconds / 1e9
}
