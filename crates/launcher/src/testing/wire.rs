//! A wire that can be cut: a TCP relay in front of a server that other tests use too, so that this test alone sees an
//! outage.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

/// The relay. Dropped, it is gone, with every connection through it.
pub struct Wire {
    url: Url,
    whole: watch::Sender<bool>,
    /// How often it froze.
    frozen: watch::Sender<u32>,
    relay: JoinHandle<()>,
}

impl Wire {
    /// A relay to the server of `url`, on loopback.
    ///
    /// # Panics
    /// `url` names no port, or no port is free.
    pub async fn to(url: &Url) -> Self {
        let server = SocketAddr::from((
            Ipv4Addr::LOCALHOST,
            url.port().expect("the server's address has a port"),
        ));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let port = listener
            .local_addr()
            .expect("a bound listener has an address")
            .port();
        let mut relayed = url.clone();
        relayed.set_port(Some(port)).expect("the address has a host");
        let (whole, state) = watch::channel(true);
        let (frozen, freezes) = watch::channel(0);
        Self {
            url: relayed,
            whole,
            frozen,
            relay: tokio::spawn(relay(listener, server, state, freezes)),
        }
    }

    /// The server's address through the wire, otherwise as it was.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Drop every connection and take no new one.
    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Carry nothing more over the connections that there are, and leave them open: as where a host, or a firewall between,
    /// vanished without a word. New ones are carried.
    pub fn freeze(&self) {
        self.frozen.send_modify(|times| *times += 1);
    }

    /// Let connections through again.
    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.relay.abort();
    }
}

async fn relay(
    listener: TcpListener,
    server: SocketAddr,
    whole: watch::Receiver<bool>,
    mut frozen: watch::Receiver<u32>,
) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                // Dropped at once while the wire is cut: the client sees its connection closed.
                if *whole.borrow() {
                    frozen.mark_unchanged();
                    connections.spawn(carry(client, server, whole.clone(), frozen.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(
    mut client: TcpStream,
    server: SocketAddr,
    mut whole: watch::Receiver<bool>,
    mut frozen: watch::Receiver<u32>,
) {
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    let froze = tokio::select! {
        // However it ends, both sides see their connection closed.
        _ = copy_bidirectional(&mut client, &mut server) => false,
        _ = whole.wait_for(|whole| !whole) => false,
        _ = frozen.changed() => true,
    };
    if froze {
        // Both sides stay open until the wire is gone.
        std::future::pending::<()>().await;
    }
}
