//! A connection to a database that can be cut, or go silent: what a network does on a bad day.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Connections end, and new ones end at once.
    Cut,
    /// Nothing goes through, and nobody is told.
    Silent,
}

pub struct Wire {
    pub port: u16,
    state: watch::Sender<State>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
    listener: JoinHandle<()>,
}

impl Wire {
    /// Listens on a port of its own and passes everything on to `target`.
    pub async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (state, current) = watch::channel(State::Open);
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&connections);
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let task = tokio::spawn(pass_on(stream, target, current.clone()));
                kept.lock().expect("no panic while it was held").push(task.abort_handle());
            }
        });
        Self { port, state, connections, listener }
    }

    /// Ends all connections, and each new one at once.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
        for connection in self.connections.lock().expect("no panic while it was held").drain(..) {
            connection.abort();
        }
    }

    /// Holds everything back that is sent in either direction.
    pub fn silence(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Lets everything through again.
    pub fn mend(&self) {
        self.state.send_replace(State::Open);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.cut();
        self.listener.abort();
    }
}

async fn pass_on(mut client: TcpStream, target: u16, mut state: watch::Receiver<State>) {
    loop {
        let is_now = *state.borrow_and_update();
        match is_now {
            State::Cut => return,
            State::Silent => {
                if state.changed().await.is_err() {
                    return;
                }
            }
            State::Open => break,
        }
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    let without_delay = client.set_nodelay(true).and_then(|()| server.set_nodelay(true));
    without_delay.expect("an option of every TCP connection");
    loop {
        tokio::select! {
            _ended = copy_bidirectional(&mut client, &mut server) => return,
            _changed = state.wait_for(|state| *state != State::Open) => {}
        }
        match state.wait_for(|state| *state != State::Silent).await {
            Ok(state) if *state == State::Open => {}
            _ => return,
        }
    }
}
